{ ... }:
{
  hyperhive = {
    mcpServers.x.command = "../x";
  };
}
