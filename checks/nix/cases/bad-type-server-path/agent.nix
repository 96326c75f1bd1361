{ ... }:
{
  hyperhive = {
    mcpServers.x.command = ./agent.nix;
  };
}
