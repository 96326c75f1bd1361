{ ... }:
{
  hyperhive = {
    mcpServers.x = { command = "x"; args = [ 1 ]; };
  };
}
