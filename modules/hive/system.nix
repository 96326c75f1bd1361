# The NixOS system of one agent's container, as a derivation.
#
# Evaluated by pyglue/nix/system.py in the restricted sandbox at submit, and by the
# hive's flake (./default.nix) for whoever looks at it by hand. All paths are strings
# with absolute paths, or paths.
{
  nixpkgs,
  agent,
  manifest, # file with the validated manifest
  name,
  system,
  uid,
  manager ? false,
  modules ? [ ],
}:
let
  # The lines below would copy a directory given as a path into the store, whole.
  path = value: /. + builtins.toString value;

  container = import ../agent/container.nix {
    inherit name manager uid;
    manifest = import ../agent/manifest.nix (path manifest);
    framework = path ../..;
  };

  evaluated = import (path nixpkgs + "/nixos/lib/eval-config.nix") {
    system = null;
    modules = [
      container
      { nixpkgs.hostPlatform = system; }
      (path agent + "/agent.nix")
    ]
    ++ map path modules;
  };
in
evaluated.config.system.build.toplevel
