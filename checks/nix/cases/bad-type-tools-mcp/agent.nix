{ ... }:
{
  hyperhive = {
    allowedTools = [ "mcp__a__b" ];
  };
}
