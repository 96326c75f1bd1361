{ ... }:
{
  hyperhive = {
    mcpServers.a = { command = "x"; arg = [ ]; };
  };
}
