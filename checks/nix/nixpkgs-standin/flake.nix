{
  description = "As much of nixpkgs as hyperhive's flake and systems need, offline";

  outputs = _: {
    legacyPackages = builtins.listToAttrs (
      map
        (system: {
          name = system;
          value = { inherit (import ./pkgs.nix { inherit system; }) runCommand; };
        })
        [
          "x86_64-linux"
          "aarch64-linux"
        ]
    );
  };
}
