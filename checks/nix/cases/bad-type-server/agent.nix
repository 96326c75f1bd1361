{ ... }:
{
  hyperhive = {
    mcpServers.x = "cmd";
  };
}
