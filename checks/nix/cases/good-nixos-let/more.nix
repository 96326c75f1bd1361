{ pkgs, ... }: { environment.systemPackages = [ pkgs.jq ]; nixpkgs.overlays = [ (final: prev: { }) ]; }
