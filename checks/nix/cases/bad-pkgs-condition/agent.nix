{ lib, pkgs, ... }:
{
  hyperhive = {
    network = lib.mkIf pkgs.stdenv.isLinux true;
  };
}
