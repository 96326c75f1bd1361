{ ... }:
{
  hyperhive = {
    mcpServers.hive.command = "x";
  };
}
