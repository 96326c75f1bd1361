{ ... }:
{
  hyperhive = {
    limits.costPerDayUsd = 0;
  };
}
