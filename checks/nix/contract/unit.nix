# What nixpkgs makes of `container@.service`: its directives and its scripts, whose
# programs are the fakes of stage.py.
{ nixpkgs, fakes }:
let
  lib = import (nixpkgs + "/lib");
  inherit (lib) mkOption types;

  package = name: {
    type = "derivation";
    inherit name;
    outPath = fakes;
    meta.mainProgram = name;
    override = _: package name;
  };

  pkgs = {
    iproute2 = package "iproute2";
    nixos-container = package "nixos-container";
    path = nixpkgs;
    runtimeShell = "/bin/sh";
    stdenv.hostPlatform.system = "x86_64-linux";
    # The text in the place of a path, so that unit.py finds it.
    writeScript = name: text: "@@${name}@@${text}@@end@@";
  };

  anything = mkOption {
    type = types.anything;
    default = { };
  };

  evaluated = lib.evalModules {
    specialArgs = {
      inherit pkgs;
      utils = { };
    };
    modules = [
      (nixpkgs + "/nixos/modules/virtualisation/nixos-containers.nix")
      {
        options =
          lib.genAttrs [
            "assertions"
            "environment"
            "meta"
            "networking"
            "services"
            "users"
            "virtualisation"
            "warnings"
          ] (_: anything)
          // {
            boot.kernelModules = anything;
            boot.kernelPackages = anything;
            nix = anything;
            system = anything;
            systemd = mkOption {
              type = types.submodule {
                freeformType = types.attrsOf types.anything;
                options.services = mkOption { type = types.lazyAttrsOf types.raw; };
              };
            };
          };
        config = {
          boot.enableContainers = true;
          nix.package = package "nix";
          system.stateVersion = lib.trivial.release;
          systemd.package = package "systemd";
        };
      }
    ];
  };

  unit = evaluated.config.systemd.services."container@";
in
{
  inherit (unit)
    description
    environment
    postStart
    preStart
    script
    unitConfig
    ;
  directives = removeAttrs unit.serviceConfig [ "ExecReload" ];
  reload = unit.serviceConfig.ExecReload;
}
