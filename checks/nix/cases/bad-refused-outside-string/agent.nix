{ imports = [ "/etc/nixos/configuration.nix" ]; }
