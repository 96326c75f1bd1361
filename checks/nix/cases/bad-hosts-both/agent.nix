{ lib, ... }:
{
  hyperhive.network = lib.mkMerge [ true { allow = [ "github.com" ]; } ];
}
