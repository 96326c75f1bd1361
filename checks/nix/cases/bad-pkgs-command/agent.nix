{ pkgs, ... }:
{
  hyperhive = {
    mcpServers.x.command = "${pkgs.hello}/bin/hello";
  };
}
