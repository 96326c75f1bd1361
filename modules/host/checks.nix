# What the types of the options cannot say: each wrong setting with what to do.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  web = cfg.dashboard;
  t = import ./types.nix { inherit lib; };

  option = name: "services.hyperhive.${name}";
  inStore = path: path != null && lib.hasPrefix "${builtins.storeDir}/" (toString path);
  isSet = path: path != null && toString path != "";

  require = assertion: message: { inherit assertion message; };

  secret =
    name: path:
    require (!inStore path) "${option name} is in the Nix store, where everybody can read it. Name a file outside, such as \"/run/secrets/NAME\", in quotes.";

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
    ) "${option "agents"}.${name}: this is not an agent's name. Use 1 to 9 characters: a lower-case letter, then lower-case letters, digits and '-', not ending in '-'.")
    (require (
      !lib.elem name reserved
    ) "${option "agents"}.${name}: this name is reserved for the hive itself. Choose another.")
    (require (
      !(config.containers ? "h-${name}")
    ) "${option "agents"}.${name}: its container is called h-${name}, and containers.h-${name} is declared too. Rename one of them.")
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
    ) "${option "defaults.${name}"} (${shown default}) is more than ${option "limits.${name}"} (${shown limit}). Lower the default or raise the limit.";

  # Below the range with the number that agents/ belongs to (state.nix), as nobody's.
  lastUsers = 32766 * 65536;
  ownUsers =
    cfg.privateUsers == "pick"
    || (lib.mod (lib.toInt cfg.privateUsers) 65536 == 0 && lib.toInt cfg.privateUsers <= lastUsers);

  # hived's unit has /tmp of its own and no home; /run does not outlast a boot.
  hidden = lib.filter (place: cfg.stateDir == place || lib.hasPrefix "${place}/" cfg.stateDir) [
    "/home"
    "/nix"
    "/root"
    "/run"
    "/tmp"
    "/var/tmp"
  ];

  ids = lib.attrValues cfg.ids;
  loopback = lib.hasPrefix "127." web.listenAddress || web.listenAddress == "::1";
  cleartext = web.externalUrl != null && lib.hasPrefix "http://" web.externalUrl;
  # As pyglue/origin.py has it: the hive then has a secret name of its own.
  local =
    web.externalUrl == null
    ||
      builtins.match "https?://(127\\.[0-9.]*|([^/]*\\.)?localhost|\\[::1])(:[0-9]+)?" web.externalUrl != null;
  exposed = !loopback && web.tls.certFile == null && web.trustedProxies == [ ];
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      (require (isSet cfg.apiKeyFile) "${option "apiKeyFile"} is not set. Put the API key into a file that only root can read, outside the Nix store, and name it there.")
      (secret "apiKeyFile" cfg.apiKeyFile)
      (secret "dashboard.tls.keyFile" web.tls.keyFile)
      (require (
        (web.tls.certFile == null) == (web.tls.keyFile == null)
      ) "${option "dashboard.tls"} needs both certFile and keyFile, or neither.")
      (require (
        web.tls.certFile == null || !cleartext
      ) "${option "dashboard.externalUrl"} begins with http:// although dashboard.tls is set. Begin it with https://.")
      (require (
        web.tls.certFile == null || !local
      ) "${option "dashboard.tls"} needs a name: browsers give the cookies of a loopback address to every port of it. Set dashboard.externalUrl to the https:// address that the certificate is for.")
      (require (
        lib.allUnique ids
      ) "${option "ids"}: operators, agent, web and relay must be different numbers; otherwise one could act as another.")
      (require (
        builtins.match "https://.+|http://127\\.0\\.0\\.1(:[0-9]+)?(/.*)?" cfg.upstreamUrl != null
      ) "${option "upstreamUrl"} must begin with https:// (or be http://127.0.0.1…): the API key is sent there.")
      (require (
        !cfg.limits.network || config.networking.nftables.enable
      ) "${option "limits.network"} needs networking.nftables.enable = true: without it nothing keeps containers from this host and its network.")
      (require (
        hidden == [ ]
      ) "${option "stateDir"} is ${cfg.stateDir}: hived cannot keep anything below ${lib.concatStringsSep ", " hidden}. Choose a directory such as /var/lib/hyperhive.")
      (require ownUsers "${option "privateUsers"} is ${cfg.privateUsers}: use \"pick\", or the first of 65536 user ids, a multiple of 65536 and at most ${toString lastUsers}.")
      (require (lib.all t.isWhole cfg.networkRanges) "${option "networkRanges"} has ${
        lib.concatStringsSep ", " (lib.filter (range: !t.isWhole range) cfg.networkRanges)
      }: that is no IPv4 range with room for a container. Write the first address of the range and at most /30, such as \"10.231.0.0/16\".")
      (require config.boot.enableContainers "services.hyperhive runs agents as NixOS containers: do not set boot.enableContainers to false.")
      (require (lib.versionAtLeast config.system.stateVersion "22.05")
        "system.stateVersion is ${config.system.stateVersion}: NixOS then keeps containers in /etc/containers and /var/lib/containers, and hived in /etc/nixos-containers and /var/lib/nixos-containers. Move what is there and set system.stateVersion to 22.05 or later."
      )
      (require (
        !config.system.etc.overlay.enable || config.system.etc.overlay.mutable
      ) "services.hyperhive writes the settings of containers into /etc/nixos-containers: set system.etc.overlay.mutable = true.")
      (require (
        !config.boot.isContainer or false
      ) "services.hyperhive starts containers and cannot run in one.")
    ]
    ++ map within [
      "costPerDay"
      "tokensPerDay"
      "turnsPerHour"
      "memoryMax"
      "cpuQuota"
    ]
    ++ lib.concatMap agent names;

    warnings =
      lib.optional exposed "services.hyperhive.dashboard listens on ${web.listenAddress} without TLS and without a proxy: whoever sees that network can take over an operator's session. Set dashboard.tls, or listen on 127.0.0.1 behind a proxy."
      ++ lib.optional (cleartext && !local && !exposed && web.tls.certFile == null)
        "services.hyperhive.dashboard.externalUrl begins with http://: browsers give the session's cookie to every other port of that host. Put TLS before the dashboard and begin it with https://."
      ++ lib.optional (
        ownUsers && cfg.privateUsers != "pick"
      ) "services.hyperhive.privateUsers is not \"pick\": all containers share one range of users, so what breaks out of one is not held back from the others."
      ++ lib.optional (
        web.openFirewall && loopback
      ) "services.hyperhive.dashboard.openFirewall opens a port on which only this machine is listened to. Set dashboard.listenAddress, or leave the firewall closed.";
  };
}
