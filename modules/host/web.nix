# hive-web: the dashboard. It has no privileges and no state, starts no program, and may connect to
# one socket.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  web = cfg.dashboard;
  loopback = lib.hasPrefix "127." web.listenAddress || web.listenAddress == "::1";
  fences = lib.optionalAttrs loopback {
    # No connections from or to other hosts. On another address, browsers connect from anywhere, and
    # the firewall decides.
    IPAddressDeny = "any";
    IPAddressAllow = "localhost";
  };
  # As in pyglue/config/origin.py: both loopback addresses, because browsers try both.
  addresses = lib.unique (
    [ web.listenAddress ]
    ++ lib.optionals loopback (
      [ "127.0.0.1" ] ++ lib.optional config.networking.enableIPv6 "::1"
    )
  );
  shown = address: if lib.hasInfix ":" address then "[${address}]" else address;
in
{
  config = lib.mkIf cfg.enable {
    networking.firewall.allowedTCPPorts = lib.mkIf web.openFirewall [ web.port ];
    # systemd keeps the port while hive-web restarts: another program that took it would receive
    # what the operator's open tabs send.
    systemd.sockets.hive-web = {
      description = "hyperhive dashboard port";
      documentation = [ "man:hyperhive.nix(5)" ];
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        ListenStream = map (address: "${shown address}:${toString web.port}") addresses;
        BindIPv6Only = "both";
        FreeBind = true;
        Backlog = 1024;
      }
      // fences;
    };
    systemd.services.hive-web = {
      description = "hyperhive dashboard";
      documentation = [ "man:hyperhive.nix(5)" ];
      wantedBy = [ "multi-user.target" ];
      requires = [ "hive-web.socket" ];
      wants = [ "hived.service" ];
      after = [
        "hive-web.socket"
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
          # operator.sock belongs to the operators.
          SupplementaryGroups = [ "hive-operators" ];
          Restart = "always";
          RestartSec = 1;
          TimeoutStopSec = 10;
          # The only part of the hive that it needs is operator.sock.
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
        // fences;
    };
  };
}
