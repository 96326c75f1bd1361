# Stand-ins for NixOS: the options that modules/host sets or reads, typed as there but
# for parts that it leaves alone, and of pkgs what it names. Nothing is in a store.
{ lib }:
let
  inherit (lib) mkOption types;

  list = mkOption {
    type = types.listOf types.unspecified;
    default = [ ];
  };
  off = mkOption {
    type = types.bool;
    default = false;
  };
  free = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };

  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
    override = _: package name;
  };

  unit = {
    after = list;
    before = list;
    conflicts = list;
    description = mkOption { type = types.str; };
    documentation = list;
    requires = list;
    wantedBy = list;
    wants = list;
    unitConfig = free;
  };

  entry =
    options:
    mkOption {
      type = types.attrsOf (types.submodule { inherit options; });
      default = { };
    };
in
{
  pkgs =
    lib.genAttrs [
      "age"
      "bubblewrap"
      "git"
      "hyperhive"
      "nixos-container"
      "util-linux"
    ] package
    // {
      # What is written depends on the text alone, as in the store.
      writeText = name: text: "/nix/store/${builtins.hashString "md5" text}-${name}";
      stdenv.hostPlatform.system = "x86_64-linux";
    };

  module = {
    options = {
      assertions = list;
      warnings = mkOption {
        type = types.listOf types.str;
        default = [ ];
      };
      boot.enableContainers = mkOption {
        type = types.bool;
        default = false;
      };
      boot.isContainer = off;
      boot.kernelPackages = mkOption {
        type = types.raw;
        default.kernel.version = "6.12.30";
      };
      containers = free;
      environment.systemPackages = list;
      networking = {
        firewall.allowedTCPPorts = mkOption {
          type = types.listOf types.port;
          default = [ ];
        };
        nat.enable = off;
        nat.internalIPs = mkOption {
          type = types.listOf types.str;
          default = [ ];
        };
        enableIPv6 = mkOption {
          type = types.bool;
          default = true;
        };
        nftables.enable = off;
        nftables.tables = entry {
          family = mkOption { type = types.str; };
          content = mkOption { type = types.lines; };
        };
      };
      nix.enable = mkOption {
        type = types.bool;
        default = true;
      };
      nix.package = mkOption { type = types.package; };
      security.allowUserNamespaces = mkOption {
        type = types.bool;
        default = true;
      };
      system.etc.overlay.enable = off;
      system.etc.overlay.mutable = mkOption {
        type = types.bool;
        default = true;
      };
      system.stateVersion = mkOption {
        type = types.str;
        default = "26.05";
      };
      systemd = {
        package = mkOption { type = types.package; };
        network.networks = entry {
          matchConfig = free;
          linkConfig = free;
        };
        mounts = mkOption {
          type = types.listOf (
            types.submodule {
              options = unit // {
                what = mkOption { type = types.str; };
                where = mkOption { type = types.str; };
                type = mkOption { type = types.str; };
                options = mkOption { type = types.commas; };
              };
            }
          );
          default = [ ];
        };
        sockets = entry (unit // { socketConfig = free; });
        services = entry (
          unit
          // {
            environment = free;
            path = list;
            serviceConfig = free;
          }
        );
        tmpfiles.rules = mkOption {
          type = types.listOf types.str;
          default = [ ];
        };
      };
      users.groups = entry {
        gid = mkOption { type = types.int; };
        members = mkOption {
          type = types.listOf types.str;
          default = [ ];
        };
      };
      users.users = entry {
        uid = mkOption { type = types.int; };
        description = mkOption { type = types.str; };
        group = mkOption { type = types.str; };
        isSystemUser = off;
      };
    };

    config = {
      nix.package = package "nix";
      systemd.package = package "systemd";
    };
  };
}
