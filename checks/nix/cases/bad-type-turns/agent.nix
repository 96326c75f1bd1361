{ ... }:
{
  hyperhive = {
    limits.turnsPerHour = 0;
  };
}
