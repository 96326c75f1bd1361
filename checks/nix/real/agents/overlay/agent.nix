{ pkgs, ... }:
{
  hyperhive.description = "Has a changed package";
  hyperhive.prompt = "Has a changed package.";

  nixpkgs.overlays = [
    (final: previous: {
      greeting = final.writeShellScriptBin "greeting" "echo hello";
    })
  ];
  environment.systemPackages = [ pkgs.greeting ];
}
