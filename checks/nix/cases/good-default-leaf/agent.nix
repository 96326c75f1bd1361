{ lib, ... }:
{
  hyperhive = lib.mkMerge [
    { env = { A = lib.mkDefault "theirs"; B = lib.mkDefault "kept"; }; }
    { env.A = "mine"; }
  ];
}
