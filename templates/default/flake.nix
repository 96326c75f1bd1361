{
  description = "A machine that runs a hive";

  inputs = {
    # Agents' systems are made from it too.
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

    # Your copy, a git repository that belongs to root, or the address of hyperhive's own.
    hyperhive.url = "git+file:///etc/hyperhive";
    hyperhive.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, hyperhive, ... }:
    {
      nixosConfigurations.hive = nixpkgs.lib.nixosSystem {
        modules = [
          hyperhive.nixosModules.default
          # The machine's own, as `nixos-generate-config` wrote it; it imports
          # hardware-configuration.nix.
          ./configuration.nix
          ./hive.nix
        ];
      };
    };
}
