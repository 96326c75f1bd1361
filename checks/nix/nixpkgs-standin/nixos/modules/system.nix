# The NixOS options that hyperhive and the agents of its tests set. What matters to a
# system's derivation is declared; the rest takes anything.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  anything = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
  some =
    type: default:
    mkOption { inherit type default; };
in
{
  options = {
    assertions = some (types.listOf types.anything) [ ];
    boot = anything;
    documentation = anything;
    environment = {
      systemPackages = some (types.listOf types.package) [ ];
      variables = anything;
      etc = anything;
    };
    fileSystems = anything;
    i18n = anything;
    networking = anything;
    nix = anything;
    nixpkgs = {
      config = anything;
      hostPlatform = mkOption { type = types.str; };
    };
    programs = anything;
    security = anything;
    services = anything;
    system = {
      stateVersion = mkOption { type = types.str; };
      name = some types.str "container";
      build = mkOption { type = types.lazyAttrsOf types.raw; };
    };
    systemd.services = some (types.attrsOf (types.attrsOf types.anything)) { };
    time = anything;
    users.users = anything;
    users.groups = anything;
    warnings = some (types.listOf types.str) [ ];
  };

  config = {
    _module.args.pkgs = import ../../pkgs.nix { system = config.nixpkgs.hostPlatform; };
    system.build.toplevel = lib.mkDefault (import ./toplevel.nix { inherit config lib; });
  };
}
