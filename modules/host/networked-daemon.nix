# The service of a daemon that has a network and serves hived: hive-relay, hive-egress and
# hive-notify. `fences` are parts of the hive that it does not need, `more` its own settings.
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
      # IPAddressDeny stays off, because names are resolved at run time, perhaps by a resolver on
      # loopback. NETLINK: the C library asks for this host's address families.
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
