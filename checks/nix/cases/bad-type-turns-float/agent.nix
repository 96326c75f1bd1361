{ ... }:
{
  hyperhive = {
    limits.turnsPerHour = 1.5;
  };
}
