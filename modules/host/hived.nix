# hived: root, without a network. It starts containers through systemd (over D-Bus),
# builds through the nix daemon, and evaluates with bubblewrap as nobody.
{ config, lib, pkgs, ... }:
let
  cfg = config.services.hyperhive;

  nixos-container = pkgs.nixos-container.override {
    configurationDirectory = "/etc/nixos-containers";
    stateDirectory = "/var/lib/nixos-containers";
  };
in
{
  config = lib.mkIf cfg.enable {
    # By default it is on only for who declares containers, and hived's are not declared.
    boot.enableContainers = lib.mkDefault true;

    systemd.services.hived = {
      description = "hyperhive: approvals, messages and containers";
      documentation = [ "man:hyperhive.nix(5)" ];
      wantedBy = [ "multi-user.target" ];
      after = [
        "dbus.socket"
        "local-fs.target"
        "nix-daemon.socket"
        "systemd-machined.service"
        "systemd-tmpfiles-setup.service"
      ];
      wants = [ "nix-daemon.socket" ];
      path = [
        config.nix.package
        config.systemd.package
        nixos-container
        pkgs.age
        pkgs.bubblewrap
        pkgs.git
        pkgs.util-linux
      ];
      environment = {
        # The store is the daemon's: hived writes nothing in it.
        NIX_REMOTE = "daemon";
        HOME = "/var/cache/hyperhive";
      };
      unitConfig = {
        RequiresMountsFor = [
          "${cfg.stateDir}/agents"
          "${cfg.stateDir}/shared"
        ];
        # What keeps it from starting may pass, such as a full disk: it is tried again.
        StartLimitIntervalSec = 0;
      };
      serviceConfig = import ./hardening.nix // {
        ExecStart = "${cfg.package}/bin/hived --config ${cfg.configFile}";
        Type = "notify";
        NotifyAccess = "main";
        WatchdogSec = 60;
        TimeoutStartSec = 300;
        TimeoutStopSec = 60;
        Restart = "always";
        RestartSec = 1;
        # Containers are units of their own, so no stop of this one reaches them; what
        # else runs here (an evaluation) ends with hived.
        KillMode = "mixed";

        LoadCredential = lib.mapAttrsToList (
          name: secret: "secret-${name}:${toString secret.file}"
        ) cfg.secrets;

        RuntimeDirectory = "hyperhive";
        RuntimeDirectoryMode = "0755";
        # Containers have the sockets' directories bound: made anew, they would see
        # nothing of them.
        RuntimeDirectoryPreserve = true;
        CacheDirectory = "hyperhive";
        CacheDirectoryMode = "0700";
        ReadWritePaths = [
          cfg.stateDir
          "/etc/nixos-containers"
          "/nix/var/nix/gcroots/hyperhive" # keeps what waits for approval
          "/nix/var/nix/gcroots/per-container"
          "/nix/var/nix/profiles/per-container"
          "/run/lock" # nixos-container's own lock
          "/run/systemd/system" # drop-ins with the limits of containers
          "/var/lib/nixos-containers"
        ];

        # Root, because containers, their files and the system profile are root's.
        # CHOWN, FOWNER, FSETID: directories belong to agents and to nobody.
        # DAC_OVERRIDE: reads and removes what agents wrote.
        # SETUID, SETGID: checks and evaluations run as nobody. KILL: ends them.
        CapabilityBoundingSet = [
          "CAP_CHOWN"
          "CAP_DAC_OVERRIDE"
          "CAP_FOWNER"
          "CAP_FSETID"
          "CAP_KILL"
          "CAP_SETGID"
          "CAP_SETUID"
        ];
        PrivateNetwork = true;
        # NETLINK: bubblewrap brings up loopback in its own network namespace.
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_NETLINK"
        ];
        IPAddressDeny = "any";
        # Not closed: bubblewrap makes each of these around an evaluation.
        RestrictNamespaces = [
          "user"
          "mnt"
          "pid"
          "net"
          "ipc"
          "uts"
          "cgroup"
        ];
        # Without @mount bubblewrap could not build its root.
        SystemCallFilter = [
          "@system-service"
          "@mount"
        ];
        # Off: ProtectKernelTunables, ProtectKernelLogs, ProtectProc and ProcSubset mount
        # over parts of /proc, and the kernel then lets nobody mount a new one, which
        # bubblewrap needs. CAP_SYS_ADMIN and CAP_SYSLOG, which they are about, are not
        # in the set above.
        # Off: MemoryDenyWriteExecute, because libffi may make pages for libgit2's
        # callbacks that are written and then run.
        # Off: PrivateUsers, because the owners of files must be what they are.
      };
    };
  };
}
