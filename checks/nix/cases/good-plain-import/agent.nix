{ hyperhive = import ./value.nix; }
