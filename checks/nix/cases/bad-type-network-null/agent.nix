{ ... }:
{
  hyperhive = {
    network = null;
  };
}
