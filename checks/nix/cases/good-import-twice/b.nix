{ imports = [ ./a.nix ]; hyperhive.allowedTools = [ "Read" ]; }
