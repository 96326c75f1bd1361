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

    systemd.services.hive-egress = {
      description = "hyperhive: the way to hosts";
      documentation = [ "man:hyperhive.nix(5)" ];
      wantedBy = [ "multi-user.target" ];
      wants = [
        "hived.service"
        "network-online.target"
      ];
      after = [
        "hived.service"
        "network-online.target"
        "nss-lookup.target"
      ];
      path = [ ];
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = import ./hardening-daemon.nix // {
        ExecStart = "${cfg.package}/bin/hive-egress --config ${cfg.configFile}";
        Type = "notify";
        NotifyAccess = "main";
        # Ready once hived knows it; not for ever, as nixos-rebuild waits for it.
        TimeoutStartSec = 300;
        User = "hive-egress";
        Group = "hive-egress";
        Restart = "always";
        RestartSec = 1;
        TimeoutStopSec = 10;
        LimitNOFILE = 65536;
        # Names are looked up, at a resolver that may be on loopback, so which addresses it
        # calls is not known here: IPAddressDeny stays off. NETLINK: the C library asks
        # which kinds of address this host has.
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        InaccessiblePaths = [
          "-/run/hyperhive/agents"
          "-/run/hyperhive/operator.sock"
          "-/run/hyperhive/relay.sock"
          "-/run/hyperhive/relay-fds.sock"
          "-${cfg.stateDir}"
        ];
      };
    };
  };
}
