# Settings of services.hyperhive by name; expected.json has what nixpkgs' lib makes of
# each (`python -m checks.nix.host.record --lib PATH`).
{ lib }:
let
  key.apiKeyFile = "/run/secrets/anthropic-api-key";
  # The smallest hive that is right, and these changes.
  hive = changes: { services.hyperhive = lib.recursiveUpdate key changes; };
  agent = name: hive { agents.${name} = { }; };
  person = name: {
    uid = 1000;
    description = name;
    group = "users";
  };
  free = id: {
    inherit id;
    inputPerMTok = 0;
    outputPerMTok = 0;
  };
in
{
  disabled.services.hyperhive.enable = lib.mkForce false;
  smallest = hive { };
  settings = hive {
    settings = {
      timeouts.stop_s = 10;
      messages.inbox_max = 500;
      disk.reserve_mib = lib.mkForce 512;
    };
  };
  everything = hive {
    stateDir = "/srv/hive";
    operators = [ "alice" "bob" ];
    upstreamUrl = "https://gateway.example.org";
    revision = "0123abc";
    healthTimeout = 180;
    drainTimeout = 30;
    lateStepTimeout = 1800;
    evaluationTimeout = 60;
    buildTimeout = 600;
    approvalExpiryDays = 3;
    timeZone = "Europe/Berlin";
    notify = {
      urlFile = "/run/secrets/notify-urls";
      events = [ "approvals" "trouble" ];
      quietHours = "22:00-07:00";
      webPush = {
        enable = true;
        contact = "mailto:hive@example.org";
        privateHosts = [ "push.lan:8443" ];
      };
    };
    secrets.HOOK_SECRET.file = "/run/secrets/hook-secret";
    models.glm = {
      id = "zai/glm-4.6";
      inputPerMTok = 0.6;
      outputPerMTok = 2.2;
      cacheReadPerMTok = 0.11;
      contextWindow = 128000;
    };
    workspaces.site.path = "/home/alice/site";
    workspaces.data_2.path = "/srv/data";
    retention = {
      messagesDays = 1;
      proposalsDays = 5;
      historyDays = 2;
      statsDays = 3;
      eventsDays = 4;
    };
    quotas = {
      messagesMiBPerDay = 1;
      inboxMiB = 2;
      questions = 3;
      reminders = 4;
      proposalsPerHour = 5;
      proposalsMiBPerDay = 6;
      operationsPerHour = 7;
      drafts = null;
      egressMiBPerDay = 12;
      historyMiB = 8;
      stateMiB = 9;
      stateFiles = 10;
    };
    disk = {
      ballastMiB = 0;
      reserveMiB = 11;
    };
    warm.memory = "3G";
    ids = {
      operators = 57000;
      agent = 57001;
      web = 57002;
      relay = 57003;
      notify = 57004;
      egress = 57005;
    };
    dashboard = {
      listenAddress = "192.0.2.10";
      port = 443;
      externalUrl = "https://hive.example.org";
      trustedHosts = [ "hive.example.org" ];
      trustedProxies = [ "192.0.2.1" "2001:db8::1" ];
      tls.certFile = "/var/lib/acme/hive/fullchain.pem";
      tls.keyFile = "/var/lib/acme/hive/key.pem";
      openFirewall = true;
      agentPorts = false;
      terminal = false;
      trustedDays = 30;
    };
    agents = {
      manager.source = "/nix/store/33333333333333333333333333333333-manager";
      alice.source = "/nix/store/44444444444444444444444444444444-alice";
      bob = { };
    };
    containerModules = [ "/nix/store/55555555555555555555555555555555-every.nix" ];
    networkRanges = [ "10.99.0.0/20" "10.98.0.0/20" ];
    limits = {
      models = [ "haiku" "sonnet" ];
      costPerDay = 10;
      tokensPerDay = 5000000;
      turnsPerHour = 60;
      memoryMax = "2G";
      cpuQuota = 200;
      mcpCommands = [ "/run/current-system/sw/bin/mcp-server-sqlite" ];
      network = true;
      workspaces = "read";
      shared = "read";
    };
    defaults = {
      costPerDay = 2.5;
      tokensPerDay = 1000000;
      turnsPerHour = 30;
      memoryMax = "1024M";
      cpuQuota = 100;
    };
  } // { users.users = lib.genAttrs [ "alice" "bob" ] person; };
  # What checks/systemd boots.
  booted = hive {
    apiKeyFile = "/etc/hyperhive/api-key";
    upstreamUrl = "http://127.0.0.1:7900";
    drainTimeout = 5;
    evaluationTimeout = 60;
    agents.alice = { };
    limits.network = true;
    notify.urlFile = "/etc/hyperhive/notify-urls";
    workspaces.site.path = "/var/site";
  };
  web-push = hive { notify.webPush.enable = true; };
  tls = hive {
    dashboard.tls.certFile = "/c.pem";
    dashboard.tls.keyFile = "/k.pem";
    dashboard.externalUrl = "https://hive.example.org";
  };
  hosts = hive { limits.network = [ "github.com" "*.example.org:8443" "[2001:db8::7]" ]; };
  no-hosts = hive { limits.network = [ ]; };
  no-ipv6 = hive { } // { networking.enableIPv6 = false; };
  ipv6 = hive { dashboard.listenAddress = "::1"; };
  ipv6-url = hive { dashboard.externalUrl = "https://[2001:db8::1]:7000"; };
  behind-proxy = hive {
    dashboard.listenAddress = "192.0.2.10";
    dashboard.trustedProxies = [ "192.0.2.1" ];
    dashboard.externalUrl = "https://hive.example.org";
  };
  url-on-loopback = hive { dashboard.externalUrl = "http://localhost:7000"; };
  default-equals-limit = hive {
    limits.memoryMax = "1G";
    defaults.memoryMax = "1024M";
  };

  # warnings
  warn-clear = hive { dashboard.listenAddress = "0.0.0.0"; };
  warn-clear-url = hive { dashboard.externalUrl = "http://hive.example.org"; };
  warn-users = hive { privateUsers = "1966080"; };
  warn-operators = hive { operators = [ "alice" "carol" ]; } // { users.users.alice = person "alice"; };
  warn-firewall = hive { dashboard.openFirewall = true; };

  # assertions
  bad-agent-name = agent "Alice";
  bad-agent-long = agent "abcdefghij";
  bad-agent-dash = agent "alice-";
  bad-agent-reserved = agent "hive";
  bad-agent-clash = agent "alice" // { containers.h-alice = { }; };
  bad-workspace-name = hive { workspaces.Site.path = "/srv/site"; };
  bad-workspace-system = hive { workspaces.site.path = "/etc/nixos"; };
  bad-workspace-run = hive { workspaces.site.path = "/run"; };
  bad-workspace-containers = hive { workspaces.site.path = "/var/lib/nixos-containers/h-bob"; };
  bad-workspace-homes = hive { workspaces.site.path = "/home"; };
  bad-workspace-home = hive { workspaces.site.path = "/home/alice"; };
  bad-workspace-root-home = hive { workspaces.site.path = "/root"; };
  bad-workspace-state = hive { workspaces.site.path = "/var/lib/hyperhive/agents/alice/state"; };
  bad-workspace-above-state = hive {
    stateDir = "/srv/hive/state";
    workspaces.site.path = "/srv/hive";
  };
  type-workspace-relative = hive { workspaces.site.path = "site"; };
  type-workspace-up = hive { workspaces.site.path = "/srv/../etc"; };
  type-workspace-hidden = hive { workspaces.site.path = "/home/alice/.ssh"; };
  type-workspace-root = hive { workspaces.site.path = "/"; };
  type-limit-workspaces = hive { limits.workspaces = true; };
  bad-no-key.services.hyperhive = { };
  subscription = hive {
    apiKeyFile = null;
    oauthTokenFile = "/run/secrets/claude-oauth-token";
  };
  gateway = hive {
    apiKeyFile = null;
    authTokenFile = "/run/secrets/gateway-token";
    upstreamUrl = "https://gateway.example.org";
  };
  models-in-the-place-of-ours = hive {
    models.haiku = {
      id = "claude-haiku-4-5";
      inputPerMTok = 0;
      outputPerMTok = 0;
    };
  };
  accounts = hive {
    accounts.research.oauthTokenFile = "/run/secrets/claude-oauth-token";
    accounts.gateway = {
      authTokenFile = "/run/secrets/gateway-token";
      upstreamUrl = "https://gateway.example.org";
    };
    defaultAccount = "research";
  };
  account-alone = hive {
    apiKeyFile = null;
    accounts.research.oauthTokenFile = "/run/secrets/claude-oauth-token";
  };
  bad-account-name = hive { accounts."my account".apiKeyFile = "/run/secrets/key"; };
  bad-account-empty = hive { accounts.research = { }; };
  bad-account-two-files = hive {
    accounts.research.apiKeyFile = "/run/secrets/key";
    accounts.research.authTokenFile = "/run/secrets/token";
  };
  bad-account-in-store = hive {
    accounts.research.apiKeyFile = "${builtins.storeDir}/44444444444444444444444444444444-key";
  };
  bad-account-url = hive {
    accounts.research.apiKeyFile = "/run/secrets/key";
    accounts.research.upstreamUrl = "http://gateway.example.org";
  };
  bad-account-default-twice = hive { accounts.default.apiKeyFile = "/run/secrets/key"; };
  bad-account-no-default = hive {
    apiKeyFile = null;
    accounts.a.apiKeyFile = "/run/secrets/a";
    accounts.b.apiKeyFile = "/run/secrets/b";
  };
  bad-account-unknown-default = hive { defaultAccount = "research"; };
  bad-model-alias = hive { models."GLM" = free "glm"; };
  bad-model-reserved = hive { models.default = free "glm"; };
  bad-model-id-alias = hive {
    models.a = free "b";
    models.b = free "c";
  };
  bad-model-twice = hive {
    models.a = free "glm";
    models.b = free "glm";
  };
  bad-two-credentials = hive { oauthTokenFile = "/run/secrets/claude-oauth-token"; };
  bad-token-in-store = hive {
    apiKeyFile = null;
    authTokenFile = "${builtins.storeDir}/44444444444444444444444444444444-token";
  };
  bad-key-in-store = hive { apiKeyFile = "${builtins.storeDir}/44444444444444444444444444444444-key"; };
  bad-tls-key-in-store = hive {
    dashboard.tls.certFile = "/c.pem";
    dashboard.externalUrl = "https://hive.example.org";
    dashboard.tls.keyFile = "${builtins.storeDir}/44444444444444444444444444444444-key";
  };
  bad-tls-cert-alone = hive {
    dashboard.tls.certFile = "/c.pem";
    dashboard.externalUrl = "https://hive.example.org";
  };
  bad-tls-key-alone = hive { dashboard.tls.keyFile = "/k.pem"; };
  bad-tls-nameless = hive {
    dashboard.tls.certFile = "/c.pem";
    dashboard.tls.keyFile = "/k.pem";
  };
  bad-tls-loopback = hive {
    dashboard.tls.certFile = "/c.pem";
    dashboard.tls.keyFile = "/k.pem";
    dashboard.externalUrl = "https://me.localhost:7000";
  };
  bad-tls-url = hive {
    dashboard.tls.certFile = "/c.pem";
    dashboard.tls.keyFile = "/k.pem";
    dashboard.externalUrl = "http://hive.example.org";
  };
  bad-default-memory = hive {
    limits.memoryMax = "1G";
    defaults.memoryMax = "1025M";
  };
  bad-default-cpu = hive {
    limits.cpuQuota = 100;
    defaults.cpuQuota = 101;
  };
  bad-default-cost = hive {
    limits.costPerDay = 1;
    defaults.costPerDay = 1.5;
  };
  bad-default-tokens = hive {
    limits.tokensPerDay = 1;
    defaults.tokensPerDay = 2;
  };
  bad-default-turns = hive {
    limits.turnsPerHour = 1;
    defaults.turnsPerHour = 2;
  };
  bad-health = hive { healthTimeout = 59; };
  health-least = hive { healthTimeout = 60; };
  bad-ids = hive { ids.web = 58003; };
  bad-upstream = hive { upstreamUrl = "http://gateway.example.org"; };
  bad-upstream-lookalike = hive { upstreamUrl = "http://127.0.0.1.example.org"; };
  upstream-on-loopback = hive { upstreamUrl = "http://127.0.0.1:8000"; };
  bad-secret-store = hive { secrets.TOKEN.file = "${builtins.storeDir}/x-token"; };
  bad-notify-store = hive { notify.urlFile = "${builtins.storeDir}/x-urls"; };
  type-notify-quiet = hive { notify.quietHours = "22:00-24:00"; };
  type-notify-contact = hive { notify.webPush.contact = "me@example.org"; };
  type-notify-host = hive { notify.webPush.privateHosts = [ "https://push.lan" ]; };
  type-trusted-days = hive { dashboard.trustedDays = 91; };
  type-notify-event = hive { notify.events = [ "turns" ]; };
  bad-secret-name = hive { secrets."my-token".file = "/run/secrets/token"; };
  bad-no-nftables = hive { limits.network = true; } // {
    networking.nftables.enable = false;
  };
  bad-no-containers = hive { } // { boot.enableContainers = false; };
  bad-old-places = hive { } // { system.stateVersion = "21.11"; };
  bad-etc-read-only = hive { } // {
    system.etc.overlay.enable = true;
    system.etc.overlay.mutable = false;
  };
  bad-state-hidden = hive { stateDir = "/home/hive"; };
  bad-users-between = hive { privateUsers = "100000"; };
  bad-range-within = hive { networkRanges = [ "10.231.0.0/16" "10.99.0.1/20" ]; };
  bad-range-number = hive { networkRanges = [ "10.300.0.0/16" ]; };
  bad-range-small = hive { networkRanges = [ "10.231.0.0/31" ]; };
  bad-kernel = hive { } // { boot.kernelPackages.kernel.version = "6.1.140"; };
  bad-no-nix = hive { } // { nix.enable = false; };
  bad-no-namespaces = hive { } // { security.allowUserNamespaces = false; };
  bad-in-container = hive { } // { boot.isContainer = true; };

  # values that no option takes
  type-model-id = hive { models.glm = free "glm 4"; };
  type-model-price = hive { models.glm = free "glm" // { inputPerMTok = -1; }; };
  type-model-window = hive { models.glm = free "glm" // { contextWindow = 8000; }; };
  type-port-zero = hive { dashboard.port = 0; };
  type-port-high = hive { dashboard.port = 65536; };
  type-port-text = hive { dashboard.port = "443"; };
  type-mcp-command = hive { limits.mcpCommands = [ "mcp-server-sqlite" ]; };
  type-hosts = hive { limits.network = [ "https://github.com" ]; };
  type-hosts-text = hive { limits.network = "github.com"; };
  type-memory = hive { limits.memoryMax = "2 GB"; };
  type-users = hive { privateUsers = "no"; };
  type-users-flag = hive { privateUsers = "pick --bind=/:/host"; };
  type-state = hive { stateDir = "/var/lib/hy per:hive"; };
  type-state-above = hive { stateDir = "/var/lib/../hive"; };
  type-state-slash = hive { stateDir = "/var/lib/hive/"; };
  type-state-relative = hive { stateDir = "var/lib/hive"; };
  type-address = hive { dashboard.listenAddress = "localhost; rm"; };
  type-url = hive { dashboard.externalUrl = "https://hive.example.org/path"; };
  type-uid = hive { ids.agent = 65534; };
  type-cost = hive { limits.costPerDay = 0; };
  type-range = hive { networkRanges = [ "10.0.0.0/8 } accept" ]; };
  type-range-zeros = hive { networkRanges = [ "010.0.0.0/8" ]; };
  type-ranges-empty = hive { networkRanges = [ ]; };
  type-late-step = hive { lateStepTimeout = 0; };
  type-days = hive { retention.statsDays = 0; };
  warm-none = hive { warm.memory = "0"; };
  type-warm = hive { warm.memory = "4 GB"; };
  type-quota = hive { quotas.stateMiB = 0; };
  type-quota-history = hive { quotas.historyMiB = null; };
  type-reserve = hive { disk.reserveMiB = -1; };
  type-source = hive { agents.alice.source = "agents/alice"; };
  type-unknown = hive { dashboard.prot = 1; };
}
