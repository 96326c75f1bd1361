{ ... }:
{
  hyperhive = {
    mcpServers.x = { _module.check = false; command = "x"; };
  };
}
