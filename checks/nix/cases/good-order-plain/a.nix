{ imports = [ ./c.nix ]; hyperhive.allowedTools = [ "Edit" ]; hyperhive.prompt = "a"; }
