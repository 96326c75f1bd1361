{ imports = [ ./broken.nix ]; }
