{ lib, ... }: { options.hyperhive = lib.mkOption { type = lib.types.anything; }; config.hyperhive.x = 1; }
