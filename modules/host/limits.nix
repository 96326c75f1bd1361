# limits: what no agent.nix can exceed. defaults: what an agent has that says nothing.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  t = import ./types.nix { inherit lib; };

  limit =
    type: example: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit example description;
    };

  # The same in both groups, so that a default can be compared with its limit.
  shared = no: {
    costPerDay = limit t.money 10 "US dollars that an agent's model calls may cost a day; `null`: ${no}.";
    tokensPerDay = limit types.ints.positive 5000000 "Tokens that an agent may use a day, in and out; `null`: ${no}.";
    turnsPerHour = limit types.ints.positive 60 "Turns that an agent may take an hour; `null`: ${no}.";
    memoryMax = limit t.size "2G" "Memory of an agent's container, in powers of 1024; `null`: ${no}.";
    cpuQuota = limit types.ints.positive 200 "CPU time of a container in percent of one processor; `null`: ${no}.";
  };
in
{
  options.services.hyperhive.limits = shared "no limit" // {
    models = limit (types.listOf types.str) [ "haiku" "sonnet" ] "Models that an agent may have, by alias or full id; `null`: any.";
    mcpCommands = limit (types.listOf t.program) [
      "/run/current-system/sw/bin/mcp-server-sqlite"
    ] "Programs that may be MCP servers, by absolute path as an agent.nix names them; `null`: any. An agent with such servers cannot set variables that make a program run other code, such as `PATH` or `PYTHONPATH`.";
    network = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether an agent may have a network (`hyperhive.network = true`) or tools that reach
        the internet. If so, this host translates addresses for containers and its firewall
        is nftables: containers reach the internet, but not this host, private networks or
        each other.
      '';
    };
  };
  options.services.hyperhive.defaults = shared "the limit above, if there is one";
}
