"""hyperhive with a real nixpkgs: what ``checks/nix/real.sh`` evaluates."""
