{ lib, ... }:
{
  hyperhive = {
    limits.turnsPerHour = lib.mkMerge [ 1 2 ];
  };
}
