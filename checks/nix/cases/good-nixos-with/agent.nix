{ pkgs, ... }:
with pkgs;
{
  environment.systemPackages = [ jq (python3.withPackages (p: [ p.numpy ])) ];
}
