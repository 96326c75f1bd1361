{ lib, pkgs, ... }:
{
  hyperhive.description = "Builds with Nix";
  hyperhive.prompt = "Builds with Nix.";

  nix = {
    enable = lib.mkForce true;
    settings = {
      experimental-features = [
        "nix-command"
        "flakes"
      ];
      max-jobs = 1;
    };
  };
}
