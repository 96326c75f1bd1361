{ ... }:
{
  hyperhive = {
    autoCompact = true;
  };
}
