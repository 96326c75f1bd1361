# The service of a daemon that has a network and serves hived: hive-relay, hive-egress and
# hive-notify. `fences` closes what of the hive it does not need; `more` is what differs.
{
  cfg,
  name,
  description,
  fences,
  more ? { },
}:
{
  inherit description;
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
  serviceConfig =
    import ./hardening-daemon.nix
    // {
      ExecStart = "${cfg.package}/bin/${name} --config ${cfg.configFile}";
      Type = "notify";
      NotifyAccess = "main";
      User = name;
      Group = name;
      Restart = "always";
      RestartSec = 1;
      TimeoutStopSec = 10;
      # Names are looked up, at a resolver that may be on loopback, so which addresses it
      # calls is not known here: IPAddressDeny stays off. NETLINK: the C library asks which
      # kinds of address this host has.
      RestrictAddressFamilies = [
        "AF_UNIX"
        "AF_INET"
        "AF_INET6"
        "AF_NETLINK"
      ];
      InaccessiblePaths = map (path: "-${path}") (
        [
          "/run/hyperhive/agents"
          cfg.stateDir
        ]
        ++ fences
      );
    }
    // more;
}
