# The NixOS system of one agent's container: its derivation (toplevel), the NixOS options that the
# agent's own modules set (nixosOptions), and the options of the manifest that it depends on
# (manifestOptions).
#
# Evaluated by pyglue/nix/system.py (through ./evaluate.nix) in the restricted sandbox at submit, by
# the hive's flake (./default.nix) for manual inspection, and by the virtual machine's test. All
# paths are paths or strings with absolute paths. The manifest is a value, never a file: a file
# might have to be built first, and machines may forbid import from derivation.
{
  nixpkgs,
  agent,
  manifest, # the validated manifest
  name,
  system,
  uid,
  manager ? false,
  modules ? [ ],
}:
let
  # Without toString, interpolation would copy the whole path into the store.
  inherit (builtins) toString;

  lib = import (toString nixpkgs + "/lib");
  pinned = import ../agent/manifest.nix manifest;

  container = import ../agent/container.nix {
    inherit name manager uid;
    manifest = pinned;
    framework = ../..;
  };

  # The agent's modules are not passed to NixOS as files: their definitions are collected first, so
  # that the reported options are exactly those that are set, and anything that could undo that is
  # refused.
  own = import ../eval/definitions.nix {
    inherit lib;
    root = /. + toString agent;
    arguments = {
      inherit lib;
      inherit (evaluated) config;
      inherit (evaluated._module.args) pkgs;
    };
  };

  evaluated = import (toString nixpkgs + "/nixos/lib/eval-config.nix") {
    system = null;
    modules = [
      container
      { nixpkgs.hostPlatform = system; }
    ]
    ++ map (module: {
      _file = module.file;
      inherit (module) options;
    }) own.declarations
    ++ map (definition: {
      _file = definition.file;
      inherit (definition) config;
    }) own.definitions
    ++ map toString modules;
  };
in
{
  inherit (evaluated.config.system.build) toplevel;
  inherit (own) nixosOptions;
  manifestOptions = builtins.attrNames pinned;
}
