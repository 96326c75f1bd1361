# What flake.nix and package.nix say, evaluated with names in the place of packages.
# Read by test_flake.py. `standin` is a nixpkgs whose systems can be evaluated, for the
# agents of the virtual machine.
{ standin ? null }:
let
  lib = import ../../modules/eval/lite.nix;

  systems = [
    "x86_64-linux"
    "aarch64-linux"
  ];

  nixpkgs = {
    outPath = ./nixpkgs-names;
    lib = lib // {
      inherit ((import ./nixpkgs-names { system = "none"; }).lib) getName;
      nixosSystem = arguments: arguments // { type = "nixos"; };
    };
    legacyPackages = lib.genAttrs systems (system: import ./nixpkgs-names { inherit system; });
  };

  flakeOf =
    revision:
    let
      made = (import ../../flake.nix).outputs {
        inherit nixpkgs;
        self = made // revision // { outPath = "/nix/store/22222222222222222222222222222222-source"; };
      };
    in
    made;
  flake = flakeOf { rev = "0123456789abcdef0123456789abcdef01234567"; };

  stubs = import ./host/stubs.nix { inherit lib; };

  # What the template's machine would have of a hive from a flake.
  startedFrom = from: lib.evalModules {
    specialArgs = { inherit (stubs) pkgs; };
    modules = [
      from.nixosModules.default
      stubs.module
      {
        inherit (import ../../templates/default/hive.nix) services;
      }
      {
        services.hyperhive = {
          package = stubs.pkgs.hyperhive;
          nixpkgs = "/nix/store/11111111111111111111111111111111-source";
        };
        users.users.alice = {
          uid = 1000;
          description = "Alice";
          group = "users";
        };
      }
    ];
  };

  started = startedFrom flake;

  # As who imports the module from a checkout has it, without flakes.
  unflaked = lib.evalModules {
    specialArgs = {
      inherit (stubs) pkgs;
      lib = lib // { commitIdFromGitRepo = place: "of-${baseNameOf place}"; };
    };
    modules = [
      ../../modules/host
      stubs.module
    ];
  };

  package = flake.packages.x86_64-linux.bundled;

  # The test of the virtual machine, with what it needs beside names.
  machine = import ../../nix/vm-test.nix {
    inherit lib;
    testers.runNixOSTest = test: test;
    nixpkgs.outPath = standin;
    hyperhive = flake;
    system = "x86_64-linux";
  };

  names = builtins.mapAttrs (_: builtins.mapAttrs (_: each: each.name));
in
{
  inherit (package) programs sdk;
  inherit (package.arguments) version;
  inherit (package.arguments) meta;
  inherit (package) script;
  dependencies = map (each: each.pname) package.dependencies;
  imports = package.library.pythonImportsCheck;
  source = "${package.library.src}";
  libraries = {
    inherit (package.webLibraries) script;
    hash = package.webLibraries.arguments.outputHash;
  };
  beforeBuild = package.library.preBuild;
  bundled = package.claude-agent-sdk.postInstall;
  free = flake.packages.x86_64-linux.default.claude-agent-sdk.postInstall;

  packages = names flake.packages;
  shells = names flake.devShells;
  apps = flake.apps.x86_64-linux.default;
  formatter = flake.formatter.x86_64-linux.name;
  checks = builtins.attrNames flake.checks.aarch64-linux;
  modules = builtins.attrNames flake.nixosModules;
  shell = map (each: each.name) flake.devShells.x86_64-linux.default.packages;
  example = map (module: builtins.typeOf module) flake.nixosConfigurations.example.modules;
  host = builtins.attrNames flake.nixosModules.default.services.hyperhive;
  revisions = map (revision: (startedFrom (flakeOf revision)).config.services.hyperhive.revision) [
    { rev = "0123"; lastModifiedDate = "20260101000000"; }
    { dirtyRev = "0123-dirty"; lastModifiedDate = "20260101000000"; }
    { lastModifiedDate = "20260101000000"; }
    { }
  ];
  onMachine = map (each: each.drvPath) (machine.nodes.machine { config = { }; })
    .virtualisation.additionalPaths;
  sameApp = flake.apps.x86_64-linux.hive == flake.apps.x86_64-linux.default;
  machine = flake.checks.x86_64-linux.virtual-machine.test.testScript;
  template = {
    inherit (started.config) warnings;
    failed = map (each: each.message) (lib.filter (each: !each.assertion) started.config.assertions);
    inherit (started.config.services.hyperhive) settings;
  };
  overlay =
    let
      pkgs = nixpkgs.legacyPackages.x86_64-linux;
    in
    (flake.overlays.default pkgs pkgs).hyperhive.name;
  checkout = { inherit (unflaked.config.services.hyperhive) framework revision; };
  templates = builtins.mapAttrs (
    _: template: template // { path = builtins.attrNames (builtins.readDir template.path); }
  ) flake.templates;
}
