{ lib, ... }:
{
  config = lib.mkMerge [
    { hyperhive.allowedTools = [ "Read" ]; }
    (lib.mkIf true { hyperhive.allowedTools = [ "Glob" ]; time.timeZone = "UTC"; })
    { hyperhive = lib.mkForce { model = "opus"; }; }
  ];
}
