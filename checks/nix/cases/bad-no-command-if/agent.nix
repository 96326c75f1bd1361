{ lib, ... }:
{
  hyperhive = {
    mcpServers.a.command = lib.mkIf false "x";
  };
}
