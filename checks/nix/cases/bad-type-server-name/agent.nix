{ ... }:
{
  hyperhive = {
    mcpServers."a b".command = "x";
  };
}
