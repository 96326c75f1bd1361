{ imports = [ [ ./a.nix ] ]; }
