{ pkgs, lib, ... }:
let
  inherit (pkgs) writeShellScriptBin;
  tool = writeShellScriptBin "tool" "exit 0";
in
{
  imports = [ ./more.nix ];
  environment.systemPackages = lib.mkAfter [ tool ];
  hyperhive.bash.allow = [ "tool" ];
}
