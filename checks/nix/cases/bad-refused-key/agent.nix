{ key = "options.nix"; }
