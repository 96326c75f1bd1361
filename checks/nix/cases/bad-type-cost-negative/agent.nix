{ ... }:
{
  hyperhive = {
    limits.costPerDayUsd = -0.5;
  };
}
