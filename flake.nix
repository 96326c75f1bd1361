{
  description = "A hive of Claude Code agents whose every change a human approves";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      # The offline stand-in for nixpkgs (checks/nix/nixpkgs-standin) has no lib and only a few
      # packages: outputs that need more are omitted there, see docs/containers.md.
      lib = nixpkgs.lib or (import ./modules/eval/lite.nix);
      whole = nixpkgs.legacyPackages.x86_64-linux ? python3;
      nixos = nixpkgs ? lib.nixosSystem;

      eachSystem = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];

      # The only unfree package is the CLI, and only where it is requested by name.
      withUnfreeCli =
        system:
        import nixpkgs {
          inherit system;
          config.allowUnfreePredicate = package: lib.getName package == "claude-code";
        };
    in
    {
      # evalAgent { agent = ./directory; } gives { manifest; nixosOptions; }.
      lib.evalAgent =
        arguments: import ./modules/eval/report.nix ({ inherit lib; } // arguments);

      overlays.default = final: _: {
        hyperhive = final.callPackage ./package.nix { };
      };

      # `import`, because older nix refuses a path here.
      nixosModules = {
        agent = import ./modules/agent/options.nix;
        default = self.nixosModules.hyperhive;
        # With the flake's own pins, so that agents are built from them.
        hyperhive = {
          imports = [ (import ./modules/host) ];
          services.hyperhive = {
            framework = lib.mkDefault "${self}";
            nixpkgs = lib.mkDefault "${nixpkgs}";
            revision = lib.mkDefault (self.rev or self.dirtyRev or self.lastModifiedDate or "unknown");
          };
        };
      };

      nixosConfigurations = lib.optionalAttrs nixos {
        example = nixpkgs.lib.nixosSystem {
          modules = [
            self.nixosModules.default
            ./templates/default/hive.nix
            ./nix/example-machine.nix
          ];
        };
      };

      templates = {
        default = {
          path = ./templates/default;
          description = "A NixOS machine that runs a hive";
        };
        agent = {
          path = ./templates/agent;
          description = "The agent.nix of one agent";
        };
      };

      # `bundled` brings its own Claude Code, for machines that are not NixOS.
      packages = eachSystem (
        system:
        lib.optionalAttrs whole {
          default = self.packages.${system}.hive;
          hive = nixpkgs.legacyPackages.${system}.callPackage ./package.nix { };
          bundled = (withUnfreeCli system).callPackage ./package.nix { bundleClaudeCode = true; };
        }
      );

      apps = eachSystem (
        system:
        lib.optionalAttrs whole {
          default = {
            type = "app";
            program = "${self.packages.${system}.bundled}/bin/hive";
            meta.description = "Run a hive on this machine, or talk to one";
          };
          hive = self.apps.${system}.default;
        }
      );

      devShells = eachSystem (
        system:
        lib.optionalAttrs whole {
          default = nixpkgs.legacyPackages.${system}.callPackage ./nix/shell.nix {
            hyperhive = self.packages.${system}.default;
          };
        }
      );

      formatter = lib.optionalAttrs whole (
        eachSystem (system: nixpkgs.legacyPackages.${system}.nixfmt-tree)
      );

      # `virtual-machine` needs KVM and a binary cache.
      checks = eachSystem (
        system:
        import ./checks/nix/flake-checks.nix {
          inherit lib;
          inherit (self.lib) evalAgent;
          inherit (nixpkgs.legacyPackages.${system}) runCommand;
        }
        // lib.optionalAttrs whole {
          package = self.packages.${system}.default;
          virtual-machine = (withUnfreeCli system).callPackage ./nix/vm-test.nix {
            inherit nixpkgs system;
            hyperhive = self;
          };
        }
      );
    };
}
