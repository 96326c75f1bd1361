{
  description = "A hive of Claude Code agents whose every change a human approves";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      # The offline stand-in for nixpkgs (checks/nix/nixpkgs-standin) has no lib.
      lib = nixpkgs.lib or (import ./modules/eval/lite.nix);

      eachSystem = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      # evalAgent { agent = ./directory; } gives { manifest; nixosOptions; }.
      lib.evalAgent =
        arguments: import ./modules/eval/report.nix ({ inherit lib; } // arguments);

      # `import`, because older nix refuses a path here.
      nixosModules.agent = import ./modules/agent/options.nix;

      checks = eachSystem (
        system:
        import ./checks/nix/flake-checks.nix {
          inherit lib;
          inherit (self.lib) evalAgent;
          inherit (nixpkgs.legacyPackages.${system}) runCommand;
        }
      );
    };
}
