{ ... }:
{
  hyperhive = {
    mcpServers.x.command = "a b";
  };
}
