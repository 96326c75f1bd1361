{ ... }:
{
  hyperhive = {
    limits.turnsPerHour = 1 / 0;
  };
}
