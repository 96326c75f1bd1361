{ lib, ... }:
{
  hyperhive.mcpServers.a = lib.mkMerge [
    { command = "a"; args = [ "x" ]; }
    { args = lib.mkForce [ "y" ]; allowedTools = [ "t" ]; }
  ];
}
