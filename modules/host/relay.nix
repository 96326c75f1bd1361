# hive-relay: the only process that has the API keys (accounts.nix) and connects to the model.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.hive-relay = import ./networked-daemon.nix {
      inherit cfg;
      name = "hive-relay";
      description = "hyperhive model relay";
      # Its access to the hive: its two sockets, and each agent's model.sock, which hived passes as
      # descriptors.
      fences = [ ];
      more = {
        # Ready once connected to hived; limited, because nixos-rebuild waits for it.
        TimeoutStartSec = 300;
      };
    };
  };
}
