{ imports = [ ./absent.nix ]; }
