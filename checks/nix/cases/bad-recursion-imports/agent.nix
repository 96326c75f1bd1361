{ config, lib, ... }: { imports = lib.optional config.hyperhive.network ./a.nix; }
