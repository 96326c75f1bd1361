{ pkgs, lib, ... }: lib.optionalAttrs pkgs.stdenv.isLinux { hyperhive.model = "opus"; }
