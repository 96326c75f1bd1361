{ ... }:
{
  hyperhive = {
    modle = "opus";
  };
}
