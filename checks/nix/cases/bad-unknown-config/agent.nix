{ ... }:
{
  hyperhive = {
    config.model = "opus";
  };
}
