# Rules that the types of the options cannot express; each error says what to do.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  web = cfg.dashboard;
  t = import ./types.nix { inherit lib; };

  option = name: "services.hyperhive.${name}";
  inStore = path: path != null && lib.hasPrefix "${builtins.storeDir}/" (toString path);
  isSet = path: path != null && toString path != "";

  credentials = lib.filter (name: isSet cfg.${name}) [
    "apiKeyFile"
    "oauthTokenFile"
    "authTokenFile"
  ];

  require = assertion: message: { inherit assertion message; };

  secret =
    name: path:
    require (!inStore path) "${option name} is in the Nix store, which is world-readable. Use a file outside it and quote the path, such as \"/run/secrets/NAME\".";

  # The rules of pyglue/names.py.
  reserved = [
    "all"
    "hive"
    "operator"
    "system"
  ];
  names = lib.attrNames cfg.agents;
  agent = name: [
    (require (
      builtins.match "[a-z][a-z0-9-]{0,8}" name != null && !lib.hasSuffix "-" name
    ) "${option "agents"}.${name}: invalid agent name. Use 1 to 9 lowercase letters, digits and hyphens, starting with a letter and not ending in a hyphen.")
    (require (
      !lib.elem name reserved
    ) "${option "agents"}.${name}: this name is reserved for the hive itself. Choose another name.")
    (require (
      !(config.containers ? "h-${name}")
    ) "${option "agents"}.${name}: its container h-${name} conflicts with containers.h-${name}. Rename one of them.")
  ];

  shown = value: if builtins.isString value then value else builtins.toJSON value;
  amount = value: if builtins.isString value then t.bytes value else value;
  within =
    name:
    let
      limit = cfg.limits.${name};
      default = cfg.defaults.${name};
    in
    require (
      limit == null || default == null || amount default <= amount limit
    ) "${option "defaults.${name}"} (${shown default}) exceeds ${option "limits.${name}"} (${shown limit}). Lower the default or raise the limit.";

  # Below the range that contains the unmapped owner of agents/ (state.nix).
  lastUsers = 32766 * 65536;
  ownUsers =
    cfg.privateUsers == "pick"
    || (lib.mod (lib.toInt cfg.privateUsers) 65536 == 0 && lib.toInt cfg.privateUsers <= lastUsers);

  # HEALTH_LEAST_S of pyglue/limits.py: an MCP server, the preflight, then this one.
  healthLeast = 60;

  # Older releases have no boot.isNspawnContainer (../agent/container.nix), and hived would report
  # that only after the switch. A nixpkgs without the file is custom and accepted.
  oldest = "26.05";
  versionFile = toString cfg.nixpkgs + "/lib/.version";
  release = if builtins.pathExists versionFile then lib.fileContents versionFile else oldest;

  # Directories in /run, a tmpfs, are mounted in containers with their own users.
  oldestKernel = "6.3";
  kernel = config.boot.kernelPackages.kernel.version;

  strangers = lib.filter (name: !(config.users.users ? ${name})) cfg.operators;

  # hived's unit has its own /tmp and no home; /run does not survive a reboot.
  hidden = lib.filter (place: cfg.stateDir == place || lib.hasPrefix "${place}/" cfg.stateDir) [
    "/home"
    "/nix"
    "/root"
    "/run"
    "/tmp"
    "/var/tmp"
  ];

  # The rules of pyglue/files/workspaces.py, which hived checks again at its start.
  below = top: path: path == top || lib.hasPrefix "${top}/" path;
  system = [
    "/bin"
    "/boot"
    "/dev"
    "/etc"
    "/lib"
    "/lib64"
    "/nix"
    "/proc"
    "/run"
    "/sbin"
    "/sys"
    "/usr"
    "/var/lib/nixos-containers"
  ];
  shared = [
    "/home"
    "/root"
    "/tmp"
    "/var"
    "/var/lib"
    "/var/tmp"
  ];
  workspace =
    name:
    let
      inherit (cfg.workspaces.${name}) path;
      where = "${option "workspaces"}.${name}";
    in
    [
      (require (
        builtins.match "[a-z0-9][a-z0-9_-]{0,63}" name != null
      ) "${where}: invalid name. Use lowercase letters, digits, - and _, such as site.")
      (require (
        !lib.any (top: below top path) system
      ) "${where}.path is ${path}, a directory of the system. Use the directory of a project, such as /srv/site.")
      (require (
        !lib.elem path shared && builtins.match "/home/[^/]*" path == null
      ) "${where}.path is ${path}, which contains more than one project, and perhaps keys. Use a directory inside it.")
      (require (
        !below cfg.stateDir path && !below path cfg.stateDir
      ) "${where}.path is ${path}: the hive's own directory is ${cfg.stateDir}. Use a directory outside it.")
    ];

  ids = lib.attrValues cfg.ids;
  loopback = lib.hasPrefix "127." web.listenAddress || web.listenAddress == "::1";
  cleartext = web.externalUrl != null && lib.hasPrefix "http://" web.externalUrl;
  # As in pyglue/config/origin.py: the hive then has a secret name.
  local =
    web.externalUrl == null
    ||
      builtins.match "https?://(127\\.[0-9.]*|([^/]*\\.)?localhost|\\[::1])(:[0-9]+)?" web.externalUrl != null;
  exposed = !loopback && web.tls.certFile == null && web.trustedProxies == [ ];
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      (require (credentials != [ ] || cfg.accounts != { }) "${option "apiKeyFile"} is not set. Put the API key into a file outside the Nix store that only root can read, and set the option to its path; or set oauthTokenFile (a Claude subscription) or authTokenFile (a gateway).")
      (require (
        lib.length credentials < 2
      ) "services.hyperhive: ${lib.concatStringsSep ", " credentials} are all set, but the relay uses one credential. Keep one of them.")
      (secret "apiKeyFile" cfg.apiKeyFile)
      (secret "oauthTokenFile" cfg.oauthTokenFile)
      (secret "authTokenFile" cfg.authTokenFile)
      (secret "dashboard.tls.keyFile" web.tls.keyFile)
      (secret "notify.urlFile" cfg.notify.urlFile)
      (require (
        (web.tls.certFile == null) == (web.tls.keyFile == null)
      ) "${option "dashboard.tls"} needs both certFile and keyFile, or neither.")
      (require (
        web.tls.certFile == null || !cleartext
      ) "${option "dashboard.externalUrl"} starts with http:// although dashboard.tls is set. Use https://.")
      (require (
        web.tls.certFile == null || !local
      ) "${option "dashboard.tls"} needs a host name, because browsers share the cookies of a loopback address among all its ports. Set dashboard.externalUrl to the https:// address of the certificate.")
      (require (
        lib.allUnique ids
      ) "${option "ids"}: operators, agent, web, relay, notify and egress must all differ; otherwise one could act as another.")
      (require (
        builtins.match "https://.+|http://127\\.0\\.0\\.1(:[0-9]+)?(/.*)?" cfg.upstreamUrl != null
      ) "${option "upstreamUrl"} must start with https:// (or http://127.0.0.1), because the API key or token is sent there.")
      (require (
        cfg.limits.network != true || config.networking.nftables.enable
      ) "${option "limits.network"} needs networking.nftables.enable = true; without it, nothing blocks containers from this host and its network.")
      (require (
        hidden == [ ]
      ) "${option "stateDir"} is ${cfg.stateDir}: hived cannot store data below ${lib.concatStringsSep ", " hidden}. Use a directory such as /var/lib/hyperhive.")
      (require (
        cfg.healthTimeout >= healthLeast
      ) "${option "healthTimeout"} is ${toString cfg.healthTimeout}: use at least ${toString healthLeast}, because an agent's start may take 45 seconds and each MCP server 30.")
      (require ownUsers "${option "privateUsers"} is ${cfg.privateUsers}: use \"pick\", or the first ID of a range: a multiple of 65536, at most ${toString lastUsers}.")
      (require (lib.all t.isWhole cfg.networkRanges) "${option "networkRanges"} contains ${
        lib.concatStringsSep ", " (lib.filter (range: !t.isWhole range) cfg.networkRanges)
      }: not an IPv4 range with space for a container. Use the first address of a range of /30 or larger, such as \"10.231.0.0/16\".")
      (require config.boot.enableContainers "services.hyperhive runs agents as NixOS containers: do not set boot.enableContainers to false.")
      (require (lib.versionAtLeast config.system.stateVersion "22.05")
        "system.stateVersion is ${config.system.stateVersion}: with it, NixOS keeps containers in /etc/containers and /var/lib/containers, but hived uses /etc/nixos-containers and /var/lib/nixos-containers. Move existing containers and set system.stateVersion to 22.05 or later."
      )
      (require (
        !config.system.etc.overlay.enable || config.system.etc.overlay.mutable
      ) "services.hyperhive writes container settings to /etc/nixos-containers: set system.etc.overlay.mutable = true.")
      (require (
        !config.boot.isContainer or false
      ) "services.hyperhive runs containers and cannot run inside one.")
      (require (lib.versionAtLeast release oldest) "${option "nixpkgs"} is of NixOS ${release}, but agents' systems need ${oldest} or later. Set it to a newer nixpkgs.")
      (require (lib.versionAtLeast kernel oldestKernel) "boot.kernelPackages is Linux ${kernel}: agents' containers need ${oldestKernel} or later, which is NixOS's default.")
      (require config.nix.enable "services.hyperhive builds agents' systems with this host's Nix daemon: do not set nix.enable to false.")
      (require config.security.allowUserNamespaces "services.hyperhive gives each container users of its own: do not set security.allowUserNamespaces to false.")
    ]
    ++ map within [
      "costPerDay"
      "tokensPerDay"
      "turnsPerHour"
      "memoryMax"
      "cpuQuota"
    ]
    ++ lib.concatMap agent names
    ++ lib.concatMap workspace (lib.attrNames cfg.workspaces)
    ++ lib.concatMap (name: [
      (require (
        builtins.match "[A-Z][A-Z0-9_]{0,63}" name != null
      ) "${option "secrets"}.${name}: invalid name. Use capital letters, digits and _, starting with a letter, such as GITHUB_TOKEN.")
      (secret "secrets.${name}.file" cfg.secrets.${name}.file)
    ]) (lib.attrNames cfg.secrets);

    warnings =
      lib.optional exposed "services.hyperhive.dashboard listens on ${web.listenAddress} without TLS or a proxy: anyone on that network can hijack an operator's session. Set dashboard.tls, or listen on 127.0.0.1 behind a proxy."
      ++ lib.optional (cleartext && !local && !exposed && web.tls.certFile == null)
        "services.hyperhive.dashboard.externalUrl starts with http://: browsers send the session cookie to every other port of that host. Put TLS in front of the dashboard and use https://."
      ++ lib.optional (
        ownUsers && cfg.privateUsers != "pick"
      ) "services.hyperhive.privateUsers is not \"pick\": all containers share one range of user IDs, so whatever escapes one container can access the others."
      ++ lib.optional (
        strangers != [ ]
      ) "${option "operators"} names ${lib.concatStringsSep ", " strangers}, but users.users does not: a wrong name has no access to the hive."
      ++ lib.optional (
        web.openFirewall && loopback
      ) "services.hyperhive.dashboard.openFirewall opens a port that listens on loopback only. Set dashboard.listenAddress, or leave the firewall closed.";
  };
}
