{ config, lib, ... }:
{
  hyperhive.network = true;
  hyperhive.env = lib.mkIf config.hyperhive.network { PROXY = "none"; };
}
