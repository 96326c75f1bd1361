{ ... }:
{
  hyperhive = {
    autoCompact = 9999;
  };
}
