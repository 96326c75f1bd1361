# What an agent's directory says: its manifest, and which NixOS options it sets.
#
# The agent's modules are collected here, not by evalModules, and only what they
# define under `hyperhive` meets the trusted options: a module beside those could
# disable or redeclare them. Nothing outside `hyperhive` is evaluated further than
# to its names, so no nixpkgs is needed. The result is still checked outside Nix.
{
  agent, # directory with agent.nix: a path, or a string with an absolute one
  lib ? import ./lite.nix,
}:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    isAttrs
    removeAttrs
    toString
    tryEval
    ;

  root = /. + toString agent;

  modules = import ./collect.nix { inherit lib root arguments; };

  # mkIf and mkMerge at the top of a module are pushed down, no condition is read.
  definitions = concatMap (
    module:
    map (
      config:
      if !isAttrs config then
        throw "In ${module.file} the configuration is a ${builtins.typeOf config}, not a set of options."
      else if config ? _module then
        throw "${module.file} sets `_module', which an agent's modules cannot: it would change how they are checked. Remove it."
      else
        {
          inherit (module) file;
          inherit config;
        }
    ) (import ./push-down.nix module.config)
  ) modules;

  evaluated = lib.evalModules {
    modules = [
      ../agent/options.nix
    ]
    ++ map (definition: {
      _file = definition.file;
      config = { inherit (definition.config) hyperhive; };
    }) (filter (definition: definition.config ? hyperhive) definitions);
  };

  arguments = {
    inherit lib;
    config = unknownConfig // {
      inherit (evaluated.config) hyperhive;
    };
    pkgs = throw "`pkgs' cannot be used in hyperhive.* or to decide what is set: agent.nix is read without nixpkgs. Name a program (or its absolute path inside the container) and install its package with environment.systemPackages.";
  };

  # Throws, so that the names of options are found although a value reads these.
  unknownConfig = lib.genAttrs (nixosNames ++ concatMap (m: attrNames m.options) modules) (
    name:
    throw "`config.${name}' is not known here: agent.nix is read without NixOS, and only config.hyperhive has a value."
  );

  nixosNames = [
    "assertions"
    "boot"
    "console"
    "containers"
    "documentation"
    "environment"
    "fileSystems"
    "fonts"
    "hardware"
    "i18n"
    "meta"
    "networking"
    "nix"
    "nixpkgs"
    "programs"
    "security"
    "services"
    "system"
    "systemd"
    "time"
    "users"
    "virtualisation"
    "warnings"
  ];

  # Names down to `depth`, through properties; a value that fails is a leaf.
  leaves =
    depth: path: value:
    let
      found = tryEval value;
      set = found.value;
      type = tryEval (set._type or (if set.type or "" == "derivation" then "derivation" else "set"));
      parts = tryEval (if type.value == "merge" then set.contents else [ set.content ]);
    in
    if depth == 0 || !found.success || !isAttrs set || set == { } || !type.success then
      [ path ]
    else if type.value == "set" then
      concatMap (name: leaves (depth - 1) (path ++ [ name ]) set.${name}) (attrNames set)
    else if elem type.value [ "if" "merge" "order" "override" ] && parts.success then
      concatMap (leaves depth path) parts.value
    else
      [ path ];

  under = prefix: set: concatMap (name: leaves 2 (prefix ++ [ name ]) set.${name}) (attrNames set);

  sortedUnique = list: attrNames (lib.genAttrs list (_: null));
in
{
  manifest = evaluated.config.hyperhive;

  nixosOptions = sortedUnique (
    map lib.showOption (
      concatMap (definition: under [ ] (removeAttrs definition.config [ "hyperhive" ])) definitions
      ++ concatMap (module: under [ "options" ] module.options) modules
    )
  );
}
