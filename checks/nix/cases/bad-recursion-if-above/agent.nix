{ config, lib, ... }:
lib.mkIf (!config.hyperhive.network) {
  hyperhive.prompt = "No network.";
  services.cron.enable = true;
}
