{ lib, ... }:
{
  hyperhive = {
    model = lib.mkIf (1 < 2) "opus";
    network = lib.mkIf false true;
    env = lib.mkIf true { A = "1"; B = lib.mkIf false "2"; };
  };
}
