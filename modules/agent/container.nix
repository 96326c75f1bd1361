# The NixOS module of every agent's container, besides its agent.nix. `manifest` is the result of
# ./manifest.nix, `uid` the user ID of agents on the host and in containers.
#
# The backend binds /run/hive (sockets and pinned record, read-only), /state, /session,
# /shared, the agent's workspaces in /work and, for the manager, /agents and /applied;
# nothing else of the host is visible.
{
  manifest,
  name,
  manager,
  uid,
  framework,
}:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.hive;
  inherit (lib) mkDefault mkIf mkOption types;

  # The paths in pyglue/paths.py (INSIDE).
  own = [
    "/state"
    "/session"
  ];
in
{
  imports = [ ./options.nix ];

  options.hive = {
    package = mkOption {
      type = types.package;
      default = pkgs.hyperhive or (pkgs.callPackage (framework + "/package.nix") { });
      description = "Package with the hive's programs; hive-agent runs in the container.";
    };
    claudeCode = mkOption {
      type = types.package;
      default = pkgs.claude-code;
      description = "The Claude Code CLI that runs the turns.";
    };
    nameservers = mkOption {
      type = types.listOf types.str;
      default = [
        "9.9.9.9"
        "1.1.1.1"
      ];
      description = "DNS resolvers for containers with network access, which cannot reach the host's.";
    };
  };

  config = {
    boot.isNspawnContainer = true;
    system.stateVersion = mkDefault "26.05";
    nixpkgs.config.allowUnfreePredicate = package: lib.getName package == "claude-code";

    # Containers do not use the host's Nix daemon.
    nix.enable = mkDefault false;
    documentation.enable = mkDefault false;

    networking = {
      hostName = mkDefault name;
      useDHCP = mkDefault false;
      # nixpkgs sets it for every container; mkForce can still override this.
      useHostResolvConf = lib.mkOverride 90 false;
      # The backend's rules are on the host, out of the container's reach.
      firewall.enable = mkDefault manifest.network;
      nameservers = mkIf manifest.network cfg.nameservers;
    };
    services.resolved.enable = mkIf manifest.network (mkDefault true);

    users.users.agent = {
      isSystemUser = true;
      home = "/state";
      shell = pkgs.bashInteractive;
      inherit uid;
      group = "agent";
      description = "The agent";
    };
    users.groups.agent.gid = uid;

    environment.systemPackages = [
      cfg.package
      cfg.claudeCode
      pkgs.bashInteractive
      pkgs.coreutils
      pkgs.git
    ];

    systemd.services.hive-agent = {
      description = "The agent's harness";
      wantedBy = [ "multi-user.target" ];
      unitConfig = {
        RequiresMountsFor = [ "/run/hive" ] ++ own;
        StartLimitIntervalSec = 0;
      };
      environment = {
        HOME = "/state";
        # Repositories in /agents belong to the same user ID on the host.
        GIT_CONFIG_COUNT = "2";
        GIT_CONFIG_KEY_0 = "safe.directory";
        GIT_CONFIG_VALUE_0 = "*";
        # Do not treat a directory with the files of a repository as one: its config could run
        # programs.
        GIT_CONFIG_KEY_1 = "safe.bareRepository";
        GIT_CONFIG_VALUE_1 = "explicit";
        # There is no store here, and `nix-instantiate --parse` would try to open one.
        NIX_REMOTE = "dummy://";
        # Programs from environment.systemPackages of agent.nix are here.
        PATH = lib.mkForce "/run/current-system/sw/bin";
      };
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/hive-agent";
        User = "agent";
        Group = "agent";
        WorkingDirectory = "/state";
        StandardOutput = "journal";
        StandardError = "journal";
        SyslogIdentifier = "hive-agent";
        Restart = "always";
        RestartSec = 1;
        KillMode = "mixed";
        TimeoutStopSec = 10;

        CapabilityBoundingSet = "";
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        # The harness writes secrets there; no other user in the container can read them.
        TemporaryFileSystem = "/run/hive/secrets:mode=0700,uid=${toString uid},gid=${toString uid},size=2M,nosuid,nodev,noexec";
        # The backend decides what is bound below the last two, and what is read-only.
        ReadWritePaths =
          own
          ++ lib.optional manager "/agents"
          ++ [
            "-/shared"
            "-/work"
          ];
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
      };
    };
  };
}
