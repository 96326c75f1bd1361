{ lib, ... }:
{
  hyperhive.model = lib.mkDefault "sonnet";
  hyperhive.autoCompact = lib.mkDefault 20000;
  hyperhive.env = lib.mkDefault { A = "theirs"; B = "lost"; };
}
