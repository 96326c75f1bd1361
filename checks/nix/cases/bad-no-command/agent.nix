{ ... }:
{
  hyperhive = {
    mcpServers.a.args = [ "x" ];
  };
}
