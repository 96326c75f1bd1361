# hive-egress: connects agents without a network to the hosts that they may reach. It has a network;
# its only access to the hive is through two sockets on which hived passes it what it needs.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  needed = cfg.limits.network != false && cfg.limits.network != [ ];
in
{
  config = lib.mkIf (cfg.enable && needed) {
    users.users.hive-egress = {
      uid = cfg.ids.egress;
      description = "hyperhive egress proxy";
      group = "hive-egress";
      isSystemUser = true;
    };
    users.groups.hive-egress.gid = cfg.ids.egress;

    systemd.services.hive-egress = import ./networked-daemon.nix {
      inherit cfg;
      name = "hive-egress";
      description = "hyperhive egress proxy";
      fences = [
        "/run/hyperhive/operator.sock"
        "/run/hyperhive/relay.sock"
        "/run/hyperhive/relay-fds.sock"
      ];
      more = {
        # Ready once connected to hived; limited, because nixos-rebuild waits for it.
        TimeoutStartSec = 300;
        LimitNOFILE = 65536;
      };
    };
  };
}
