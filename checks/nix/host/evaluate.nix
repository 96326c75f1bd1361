# What NixOS would make of services.hyperhive with the settings of one case, or of
# another module, against the stand-ins. Everything in it is plain JSON.
{
  lib,
  case ? null,
  module ? (import ./cases.nix { inherit lib; }).${case},
}:
let
  stubs = import ./stubs.nix { inherit lib; };
  inherit (stubs) pkgs;

  evaluated = lib.evalModules {
    specialArgs = { inherit pkgs; };
    modules = [
      ../../../modules/host
      stubs.module
      {
        services.hyperhive = {
          enable = lib.mkDefault true;
          package = lib.mkDefault pkgs.hyperhive;
          nixpkgs = lib.mkDefault "/nix/store/11111111111111111111111111111111-source";
          framework = lib.mkDefault "/nix/store/22222222222222222222222222222222-source";
          revision = lib.mkDefault "unknown";
        };
      }
      module
    ];
  };
  inherit (evaluated) config;
in
{
  failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
  inherit (config) warnings;
  settings = if config.services.hyperhive.enable then config.services.hyperhive.settings else null;
  services = lib.mapAttrs (
    _: service: service // { path = map (package: package.name) service.path; }
  ) config.systemd.services;
  inherit (config.systemd)
    mounts
    network
    sockets
    tmpfiles
    ;
  inherit (config) users networking;
  packages = map (package: package.name) config.environment.systemPackages;
}
