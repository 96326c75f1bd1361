# hived: runs as root, without a network. It starts containers through systemd (over D-Bus), builds
# through the Nix daemon, and evaluates in bubblewrap as nobody.
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
    # By default NixOS enables it only for declared containers, and hived's are not declared.
    boot.enableContainers = lib.mkDefault true;

    systemd.services.hived = {
      description = "hyperhive daemon (approvals, messages and containers)";
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
        # Only the daemon writes to the store, never hived.
        NIX_REMOTE = "daemon";
        HOME = "/var/cache/hyperhive";
      };
      unitConfig = {
        RequiresMountsFor = [
          "${cfg.stateDir}/agents"
          "${cfg.stateDir}/shared"
        ];
        # A failed start is retried, because its cause, such as a full disk, may be temporary.
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
        # Containers are units of their own, so stopping this one does not affect them; everything
        # else in it (an evaluation) ends with hived.
        KillMode = "mixed";

        LoadCredential = lib.mapAttrsToList (
          name: secret: "secret-${name}:${toString secret.file}"
        ) cfg.secrets;

        RuntimeDirectory = "hyperhive";
        RuntimeDirectoryMode = "0755";
        # Containers have the sockets' directories bound and would not see new ones.
        RuntimeDirectoryPreserve = true;
        CacheDirectory = "hyperhive";
        CacheDirectoryMode = "0700";
        ReadWritePaths = [
          cfg.stateDir
          "/etc/nixos-containers"
          "/nix/var/nix/gcroots/hyperhive" # keeps pending proposals
          "/nix/var/nix/gcroots/per-container"
          "/nix/var/nix/profiles/per-container"
          "/run/lock" # nixos-container's own lock
          "/run/systemd/system" # drop-ins with the limits of containers
          "/var/lib/nixos-containers"
        ];

        # Root, because containers, their files and the system profile belong to root.
        # CHOWN, FOWNER, FSETID: directories belong to agents and to nobody.
        # DAC_OVERRIDE: reads and removes agents' files.
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
        # Allowed: bubblewrap creates each of these around an evaluation.
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
        # over parts of /proc, and the kernel then refuses to mount a new one, which bubblewrap
        # needs. The capabilities that they guard against, CAP_SYS_ADMIN and CAP_SYSLOG, are not in
        # the set above.
        # Off: MemoryDenyWriteExecute, because libffi may create pages for libgit2's callbacks that
        # are first written, then executed.
        # Off: PrivateUsers, because hived must see the real owners of files.
      };
    };
  };
}
