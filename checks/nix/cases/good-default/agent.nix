{ lib, ... }:
{
  imports = [ ./base.nix ];
  hyperhive.model = "opus";
  hyperhive.env.A = "mine";
}
