{ lib, ... }:
{
  hyperhive = {
    env = lib.mkMerge [ { A = "1"; } { A = "2"; } ];
  };
}
