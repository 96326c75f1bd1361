{ lib, ... }:
{
  hyperhive = {
    model = lib.mkMerge [ (lib.mkOverride 70 "opus") (lib.mkOverride 60 "sonnet") "haiku" ];
  };
}
