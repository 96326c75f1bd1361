{ config, lib, ... }:
{
  hyperhive.network = true;
  services.cron.enable = config.hyperhive.network;
  imports = [ (lib.mkIf true { hyperhive.prompt = "Always."; services.a.b.c.d = 1; }) ];
}
