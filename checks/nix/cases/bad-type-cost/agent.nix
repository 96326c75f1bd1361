{ ... }:
{
  hyperhive = {
    limits.costPerDayUsd = "5";
  };
}
