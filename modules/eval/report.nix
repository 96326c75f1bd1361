# The report on an agent's directory: its manifest, and the NixOS options that it sets.
#
# The agent's modules are collected here, not by evalModules, and only their definitions under
# `hyperhive` are combined with the trusted options: a module beside those could disable or
# redeclare them. Outside `hyperhive` only names are evaluated, so no nixpkgs is needed. The result
# is still checked outside Nix, and if agents are NixOS systems the names come from the system's own
# evaluation.
{
  agent, # directory with agent.nix: a path, or a string with an absolute one
  lib ? import ./lite.nix,
}:
let
  inherit (builtins) attrNames concatMap filter;

  root = /. + builtins.toString agent;

  own = import ./definitions.nix { inherit lib root arguments; };

  evaluated = lib.evalModules {
    modules = [
      ../agent/options.nix
    ]
    ++ map (definition: {
      _file = definition.file;
      config = { inherit (definition.config) hyperhive; };
    }) (filter (definition: definition.config ? hyperhive) own.definitions);
  };

  arguments = {
    inherit lib;
    config = unknownConfig // {
      inherit (evaluated.config) hyperhive;
    };
    pkgs = throw "`pkgs' cannot be used in hyperhive.* or to decide what is set: agent.nix is read without nixpkgs. Name a program (or its absolute path inside the container) and install its package with environment.systemPackages.";
  };

  # Throws, so that the names of options are found even if a value uses these.
  unknownConfig = lib.genAttrs (nixosNames ++ concatMap (m: attrNames m.options) own.declarations) (
    name:
    throw "`config.${name}' is not known here: agent.nix is read without NixOS, and only config.hyperhive has a value."
  );

  # The top level of NixOS; pyglue/manifest/proposal_checks.py reads it too.
  nixosNames = builtins.fromJSON (builtins.readFile ./nixos-names.json);
in
{
  # `network` may be a set of options instead of a flag (../agent/types.nix, flagOr).
  manifest =
    let
      inherit (evaluated.config) hyperhive;
    in
    hyperhive
    // {
      network = hyperhive.network == true;
      hosts = hyperhive.network.allow or [ ];
    };
  inherit (own) nixosOptions;
}
