{ pkgs, ... }: { imports = [ pkgs.module ]; }
