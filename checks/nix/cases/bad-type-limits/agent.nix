{ ... }:
{
  hyperhive = {
    limits = 5;
  };
}
