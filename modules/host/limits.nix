# limits: no agent.nix can exceed them. defaults: values for agents that set none.
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
    costPerDay = limit t.money 10 "Daily cost of an agent's model calls in US dollars; `null`: ${no}.";
    tokensPerDay = limit types.ints.positive 5000000 "Input and output tokens that an agent may use per day; `null`: ${no}.";
    turnsPerHour = limit types.ints.positive 60 "Turns that an agent may start per hour; `null`: ${no}.";
    memoryMax = limit t.size "2G" "Memory limit of an agent's container, in powers of 1024; `null`: ${no}.";
    cpuQuota = limit types.ints.positive 200 "CPU limit of a container in percent of one processor; `null`: ${no}.";
  };
in
{
  options.services.hyperhive.limits = shared "no limit" // {
    models = limit (types.listOf types.str) [ "haiku" "sonnet" ] "Models that agents may use, by alias or full ID; `null`: any.";
    mcpCommands = limit (types.listOf t.program) [
      "/run/current-system/sw/bin/mcp-server-sqlite"
    ] "Programs that agents may run as MCP servers, by absolute path as written in agent.nix; `null`: any. With a list, agents that have MCP servers cannot set variables that make a program run other code, such as `PATH` or `PYTHONPATH`.";
    anyCommand = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = ''
        Whether agents may run any command in their containers
        (`hyperhive.bash.allow = null`). If not, every agent's commands are limited to
        patterns.
      '';
    };
    workspaces = mkOption {
      type = types.enum [
        "none"
        "read"
        "write"
      ];
      default = "write";
      example = "read";
      description = ''
        Maximum access to directories of this host (`hyperhive.workspaces`): none, read, or write.
      '';
    };
    shared = mkOption {
      type = types.enum [
        "read"
        "write"
      ];
      default = "write";
      example = "read";
      description = "Maximum access to `/shared` (`hyperhive.shared`).";
    };
    secrets = mkOption {
      type = types.nullOr (types.attrsOf (types.listOf (types.either (types.enum [ "*" ]) t.host)));
      default = null;
      example = {
        GITHUB_TOKEN = [
          "github.com"
          "api.github.com"
        ];
      };
      description = ''
        Secrets that agents may use (`hyperhive.secrets`), each with the hosts whose requests may
        carry it. No approval can send a value elsewhere. `[ "*" ]`: any host, and agents may see
        the value (`expose`), which a list of hosts forbids. `{ }`: no secrets; `null`: anything
        that you approve.
      '';
    };
    webhooks = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = ''
        Whether agents may have webhooks (`hyperhive.webhooks`), through which others can send them
        messages.
      '';
    };
    scheduleMinutes = mkOption {
      type = types.ints.positive;
      default = 5;
      example = 60;
      description = ''
        Minimum interval of an agent's schedule in minutes (`hyperhive.schedule`). More frequent
        schedules are refused.
      '';
    };
    network = mkOption {
      type = types.either types.bool (types.listOf t.host);
      default = false;
      example = [
        "github.com"
        "*.githubusercontent.com"
      ];
      description = ''
        Whether agents may have network access (`hyperhive.network = true`), hosts that they
        may reach (`hyperhive.network.allow`) or tools that reach the internet. If `true`,
        this host provides NAT for containers and uses nftables: containers reach the
        internet, but not this host, private networks or each other. A list: no agent has a network
        of its own, and agents may only reach hosts that an entry covers.
      '';
    };
  };
  options.services.hyperhive.defaults = shared "the limit above, if any";
}
