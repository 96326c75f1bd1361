{ lib, ... }:
let
  tools = lib.genAttrs [ "a" "b" ] (name: { command = name; args = [ "--${name}" ]; });
in
{
  hyperhive.mcpServers = tools // { c.command = "c"; };
}
