# hive-relay: the one process that has the API keys (accounts.nix), and a way out to use them.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.hive-relay = import ./networked-daemon.nix {
      inherit cfg;
      name = "hive-relay";
      description = "hyperhive: the way to the model";
      # Of the hive: its two sockets, and model.sock of each agent, which hived hands over
      # as descriptors.
      fences = [ ];
      more = {
        # Ready once hived knows it; not for ever, as nixos-rebuild waits for it.
        TimeoutStartSec = 300;
      };
    };
  };
}
