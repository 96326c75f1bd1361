# The ONE file that the daemons read, with the fields that pyglue/config declares; a test decodes it
# with that. It contains no secrets, only the paths at which systemd provides them.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.hyperhive;
  web = cfg.dashboard;

  shared = group: {
    cost_per_day_usd = group.costPerDay;
    tokens_per_day = group.tokensPerDay;
    turns_per_hour = group.turnsPerHour;
    memory_max = group.memoryMax;
    cpu_quota = group.cpuQuota;
  };

  t = import ./types.nix { inherit lib; };
  day = 86400;
  tls = web.tls.certFile != null;
in
{
  options.services.hyperhive = {
    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example = lib.literalExpression "{ timeouts.stop_s = 10; disk.reserve_mib = lib.mkForce 512; }";
      description = ''
        Contents of the daemons' configuration file, which the other options write. Add settings
        without an option here, under their names in `pyglue/config`; `lib.mkForce` replaces a value
        that an option writes. The daemons do not start with unknown names.
      '';
    };
    configFile = mkOption {
      type = types.path;
      internal = true;
      readOnly = true;
      description = "The daemons' configuration file.";
    };
  };

  config.services.hyperhive = {
    configFile = pkgs.writeText "hyperhive.json" (builtins.toJSON cfg.settings);
    settings = {
      state_dir = cfg.stateDir;
      runtime_dir = "/run/hyperhive";
      backend = "nixos-container";
      ids = {
        inherit (cfg.ids) agent web relay notify egress;
      };
      notify = {
        url_file =
          if cfg.notify.urlFile == null then null else "/run/credentials/hive-notify.service/urls";
        inherit (cfg.notify) events;
        quiet_hours = cfg.notify.quietHours;
        web_push = {
          inherit (cfg.notify.webPush) enable contact;
          private_hosts = cfg.notify.webPush.privateHosts;
        };
      };
      time_zone = cfg.timeZone;
      secrets = lib.mapAttrs (name: _: "/run/credentials/hived.service/secret-${name}") cfg.secrets;
      workspaces = lib.mapAttrs (name: workspace: {
        inherit (workspace) path;
        mounted = "/run/hyperhive-workspaces/${name}";
      }) cfg.workspaces;
      operators_gid = cfg.ids.operators;
      web = {
        host = web.listenAddress;
        inherit (web) port;
        external_url = web.externalUrl;
        trusted_hosts = web.trustedHosts;
        tls_cert = if tls then "/run/credentials/hive-web.service/tls-cert" else null;
        tls_key = if tls then "/run/credentials/hive-web.service/tls-key" else null;
        trusted_proxies = web.trustedProxies;
        agent_ports = web.agentPorts;
        inherit (web) terminal;
        trusted_days = web.trustedDays;
      };
      limits = shared cfg.limits // {
        inherit (cfg.limits)
          models
          network
          secrets
          shared
          webhooks
          workspaces
          ;
        mcp_commands = cfg.limits.mcpCommands;
        any_command = cfg.limits.anyCommand;
        schedule_minutes = cfg.limits.scheduleMinutes;
      };
      defaults = shared cfg.defaults;
      timeouts = {
        health_s = cfg.healthTimeout;
        drain_s = cfg.drainTimeout;
        late_step_s = cfg.lateStepTimeout;
        approval_expires_s = cfg.approvalExpiryDays * day;
      };
      retention = {
        messages_days = cfg.retention.messagesDays;
        proposals_days = cfg.retention.proposalsDays;
        history_days = cfg.retention.historyDays;
        stats_days = cfg.retention.statsDays;
        events_days = cfg.retention.eventsDays;
      };
      quotas = {
        inherit (cfg.quotas) questions reminders drafts;
        messages_mib_per_day = cfg.quotas.messagesMiBPerDay;
        inbox_mib = cfg.quotas.inboxMiB;
        proposals_per_hour = cfg.quotas.proposalsPerHour;
        proposals_mib_per_day = cfg.quotas.proposalsMiBPerDay;
        operations_per_hour = cfg.quotas.operationsPerHour;
        egress_mib_per_day = cfg.quotas.egressMiBPerDay;
        history_mib = cfg.quotas.historyMiB;
        state_mib = cfg.quotas.stateMiB;
        state_files = cfg.quotas.stateFiles;
      };
      disk = {
        ballast_mib = cfg.disk.ballastMiB;
        reserve_mib = cfg.disk.reserveMiB;
      };
      warm.memory = if cfg.warm.memory == null then null else if cfg.warm.memory == "0" then 0 else t.bytes cfg.warm.memory;
      nixpkgs_lib = "${cfg.nixpkgs}/lib";
      agents = lib.mapAttrsToList (name: agent: {
        inherit name;
        source = if agent.source == null then null else "${agent.source}";
      }) ({ manager.source = null; } // cfg.agents);
      nixos = {
        nixpkgs = "${cfg.nixpkgs}";
        framework = "${cfg.framework}";
        inherit (cfg) revision;
        inherit (pkgs.stdenv.hostPlatform) system;
        modules = map (module: "${module}") cfg.containerModules;
        private_users = cfg.privateUsers;
        evaluate_s = cfg.evaluationTimeout;
        build_s = cfg.buildTimeout;
        network_ranges = cfg.networkRanges;
      };
    };
  };
}
