# hive-web: the dashboard. No privilege, no state, no program; it may call one socket.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  web = cfg.dashboard;
  loopback = lib.hasPrefix "127." web.listenAddress || web.listenAddress == "::1";
  privileged = web.port < 1024;
in
{
  config = lib.mkIf cfg.enable {
    networking.firewall.allowedTCPPorts = lib.mkIf web.openFirewall [ web.port ];
    systemd.services.hive-web = {
      description = "hyperhive: dashboard";
      wantedBy = [ "multi-user.target" ];
      wants = [ "hived.service" ];
      after = [
        "hived.service"
        "network.target"
      ];
      path = [ ];
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig =
        import ./hardening-daemon.nix
        // {
          ExecStart = "${cfg.package}/bin/hive-web --config ${cfg.configFile}";
          Type = "notify";
          NotifyAccess = "main";
          User = "hive-web";
          Group = "hive-web";
          # operator.sock is the operators'.
          SupplementaryGroups = [ "hive-operators" ];
          Restart = "always";
          RestartSec = 1;
          TimeoutStopSec = 10;
          # Of the hive it needs operator.sock only.
          InaccessiblePaths = [
            "-/run/hyperhive/agents"
            "-${cfg.stateDir}"
          ];
          RestrictAddressFamilies = [
            "AF_UNIX"
            "AF_INET"
            "AF_INET6"
          ];
          LoadCredential = lib.optionals (web.tls.certFile != null) [
            "tls-cert:${toString web.tls.certFile}"
            "tls-key:${toString web.tls.keyFile}"
          ];
        }
        // lib.optionalAttrs loopback {
          # Nobody else can call, and it can call nobody. On another address browsers
          # come from anywhere, and the firewall decides.
          IPAddressDeny = "any";
          IPAddressAllow = "localhost";
        }
        // lib.optionalAttrs privileged {
          # For a port below 1024; in a user namespace the capability would be void.
          AmbientCapabilities = "CAP_NET_BIND_SERVICE";
          CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
          PrivateUsers = false;
        };
    };
  };
}
