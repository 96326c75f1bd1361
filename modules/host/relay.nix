# hive-relay: the one process that has the API key, and a way out to use it.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  # Exactly one is set (checks.nix).
  credential = lib.findFirst (path: path != null) null [
    cfg.apiKeyFile
    cfg.oauthTokenFile
    cfg.authTokenFile
  ];
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.hive-relay = {
      description = "hyperhive: the way to the model";
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
        ExecStart = "${cfg.package}/bin/hive-relay --config ${cfg.configFile}";
        Type = "notify";
        NotifyAccess = "main";
        # Ready once hived knows it; not for ever, as nixos-rebuild waits for it.
        TimeoutStartSec = 300;
        User = "hive-relay";
        Group = "hive-relay";
        Restart = "always";
        RestartSec = 1;
        TimeoutStopSec = 10;
        LoadCredential = [ "api-key:${toString credential}" ];
        # The model's address is looked up, so which addresses it calls is not known
        # here: IPAddressDeny stays off. NETLINK: the C library asks which kinds of
        # address this host has.
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        # Of the hive: its two sockets, and model.sock of each agent, which hived hands
        # over as descriptors.
        InaccessiblePaths = [
          "-/run/hyperhive/agents"
          "-${cfg.stateDir}"
        ];
      };
    };
  };
}
