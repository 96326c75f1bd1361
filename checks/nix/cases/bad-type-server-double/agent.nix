{ ... }:
{
  hyperhive = {
    mcpServers.a__b.command = "x";
  };
}
