{
  description = "A machine that runs a hive";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

    # Where you have hyperhive from: a checkout, or the address of its repository.
    hyperhive.url = "git+file:///etc/hyperhive";
    hyperhive.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, hyperhive, ... }:
    {
      nixosConfigurations.hive = nixpkgs.lib.nixosSystem {
        modules = [
          hyperhive.nixosModules.default
          ./configuration.nix
          ./hardware-configuration.nix
        ];
      };
    };
}
