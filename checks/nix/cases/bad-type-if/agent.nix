{ lib, ... }:
{
  hyperhive = {
    model = lib.mkIf "yes" "opus";
  };
}
