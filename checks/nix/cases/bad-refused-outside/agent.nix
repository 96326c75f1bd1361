{ imports = [ ../good-empty/agent.nix ]; }
