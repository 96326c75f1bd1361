# The NixOS system of one agent's container: its derivation (toplevel), which NixOS
# options the agent's own modules set in it (nixosOptions), and on which of its
# manifest's options it depends (manifestOptions).
#
# Evaluated by pyglue/nix/system.py (through ./evaluate.nix) in the restricted sandbox
# at submit, by the hive's flake (./default.nix) for whoever looks at it by hand, and by
# the virtual machine's test. All paths are strings with absolute paths, or paths. The
# manifest is a value, never a file: the file could be one that has to be built first,
# and machines may forbid an evaluation that builds.
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
  # A path would be copied into the store, whole, where a string is wanted.
  inherit (builtins) toString;

  lib = import (toString nixpkgs + "/lib");
  pinned = import ../agent/manifest.nix manifest;

  container = import ../agent/container.nix {
    inherit name manager uid;
    manifest = pinned;
    framework = ../..;
  };

  # The agent's modules are not given to NixOS as files: what they set is collected
  # first, so that what is named is what is set, and what could undo that is refused.
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
