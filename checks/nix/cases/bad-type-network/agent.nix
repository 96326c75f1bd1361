{ ... }:
{
  hyperhive = {
    network = "yes";
  };
}
