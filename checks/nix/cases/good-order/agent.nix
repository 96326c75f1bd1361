{ lib, ... }:
{
  imports = [ ./one.nix ./two.nix ];
  hyperhive.allowedTools = [ "Read" ];
  hyperhive.prompt = "middle";
}
