{ lib, ... }:
{
  imports = [ ./other.nix ];
  hyperhive.model = lib.mkForce "sonnet";
  hyperhive.allowedTools = lib.mkForce [ "Read" ];
  hyperhive.limits.turnsPerHour = lib.mkForce null;
}
