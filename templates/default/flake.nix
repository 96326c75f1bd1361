{
  description = "A machine that runs a hive";

  inputs = {
    # Agents' systems are built from it too.
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

    # Your copy, a git repository owned by root, or the address of hyperhive's repository.
    hyperhive.url = "git+file:///etc/hyperhive";
    hyperhive.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, hyperhive, ... }:
    {
      nixosConfigurations.hive = nixpkgs.lib.nixosSystem {
        modules = [
          hyperhive.nixosModules.default
          # The machine's own configuration by `nixos-generate-config`; it imports
          # hardware-configuration.nix.
          ./configuration.nix
          ./hive.nix
        ];
      };
    };
}
