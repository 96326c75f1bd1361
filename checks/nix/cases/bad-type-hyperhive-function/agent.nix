{ hyperhive = { lib, ... }: { options.extra = lib.mkOption { }; }; }
