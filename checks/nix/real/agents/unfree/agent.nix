{ lib, pkgs, ... }:
{
  hyperhive.description = "Has a program that is not free";
  hyperhive.prompt = "Has a program that is not free.";

  nixpkgs.config.allowUnfreePredicate =
    package:
    builtins.elem (lib.getName package) [
      "claude-code"
      "unrar"
    ];
  environment.systemPackages = [ pkgs.unrar ];
}
