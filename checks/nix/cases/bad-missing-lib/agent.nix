{ lib, ... }:
{
  hyperhive = {
    model = lib.mkForced "opus";
  };
}
