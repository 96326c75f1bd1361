{ lib, ... }:
{
  hyperhive = {
    network = lib.mkMerge [ true false ];
  };
}
