# hive-egress: connects agents without a network to the hosts that they may reach. It has a
# network, and of the hive nothing but two sockets and what hived hands over on them.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  needed = cfg.limits.network != false && cfg.limits.network != [ ];
in
{
  config = lib.mkIf (cfg.enable && needed) {
    users.users.hive-egress = {
      uid = cfg.ids.egress;
      description = "hyperhive's way to the hosts that agents may reach";
      group = "hive-egress";
      isSystemUser = true;
    };
    users.groups.hive-egress.gid = cfg.ids.egress;

    systemd.services.hive-egress = import ./networked-daemon.nix {
      inherit cfg;
      name = "hive-egress";
      description = "hyperhive: the way to hosts";
      fences = [
        "/run/hyperhive/operator.sock"
        "/run/hyperhive/relay.sock"
        "/run/hyperhive/relay-fds.sock"
      ];
      more = {
        # Ready once hived knows it; not for ever, as nixos-rebuild waits for it.
        TimeoutStartSec = 300;
        LimitNOFILE = 65536;
      };
    };
  };
}
