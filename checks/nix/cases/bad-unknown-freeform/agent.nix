{ lib, ... }:
{
  hyperhive = {
    freeformType = lib.types.anything; x = 1;
  };
}
