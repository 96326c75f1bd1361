{ ... }:
{
  hyperhive = {
    mcpServers.x = { name, ... }: { command = name; };
  };
}
