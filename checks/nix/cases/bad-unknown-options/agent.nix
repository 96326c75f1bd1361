{ lib, ... }:
{
  hyperhive = {
    options.x = lib.mkOption { };
  };
}
