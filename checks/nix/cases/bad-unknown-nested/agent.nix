{ ... }:
{
  hyperhive = {
    limits.turnsPerHor = 3;
  };
}
