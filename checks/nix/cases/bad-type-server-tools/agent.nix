{ ... }:
{
  hyperhive = {
    mcpServers.x = { command = "x"; allowedTools = [ "a b" ]; };
  };
}
