{ ... }:
{
  hyperhive = {
    limits.costPerDayUsd = 100000;
    limits.turnsPerHour = 100000;
    autoCompact = 10000;
    notes.maxBytes = 1024;
  };
}
