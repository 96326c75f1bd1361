{ lib, ... }:
{
  hyperhive = {
    mcpServers.a = lib.mkMerge [ { command = "x"; } { command = "y"; } ];
  };
}
