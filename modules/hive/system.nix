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
  # A path would be copied into the store, whole, where a string is wanted.
  inherit (builtins) toString;

  container = import ../agent/container.nix {
    inherit name manager uid;
    manifest = import ../agent/manifest.nix (toString manifest);
    framework = ../..;
  };

  evaluated = import (toString nixpkgs + "/nixos/lib/eval-config.nix") {
    system = null;
    modules = [
      container
      { nixpkgs.hostPlatform = system; }
      (toString agent + "/agent.nix")
    ]
    ++ map toString modules;
  };
in
evaluated.config.system.build.toplevel
