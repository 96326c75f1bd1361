# MCP servers that the harness starts.
{ t }:
let
  inherit (t) option;
  variables = import ./variables.nix { inherit t; };

  server = t.group {
    command = option {
      type = t.text {
        what = "program name, or absolute path inside the container";
        max = 1024;
        pattern = "/[A-Za-z0-9@%+=:,._/-]+|[A-Za-z0-9][A-Za-z0-9+._-]*";
      };
      widens = "change";
      danger = "critical";
      words.name = "program";
      description = ''
        The server's program: a name on PATH, or an absolute path inside the
        container. Install it with `environment.systemPackages`.
      '';
      example = "mcp-server-sqlite";
    };
    args = option {
      type = t.list {
        max = 100;
        of = t.text {
          what = "string";
          max = 4096;
        };
      };
      widens = "change";
      danger = "critical";
      words.name = "arguments";
      default = [ ];
      description = "Arguments of the program, passed without a shell.";
      example = [
        "--db"
        "/state/notes.sqlite"
      ];
    };
    env = option {
      type = variables;
      widens = "env";
      danger = "critical";
      words.name = "environment variable";
      default = { };
      description = "Environment variables for this server only.";
      example.LOG_LEVEL = "warn";
    };
    toolTimeout = option {
      type = t.orNull (
        t.whole {
          min = 1;
          max = 86400;
        }
      );
      widens = "behaviour";
      words = {
        name = "time limit of a tool call";
        suffix = " s";
        null = "the CLI's own";
      };
      default = null;
      description = ''
        Seconds after which a call of one of this server's tools ends and the model is notified of
        its failure. `null`: the CLI's own limit, half an hour without a result or a sign of
        progress.
      '';
      example = 120;
    };
    allowedTools = option {
      type = t.list {
        max = 200;
        of = t.text {
          what = "tool name, or \"*\" for all";
          max = 128;
          pattern = "[*]|[A-Za-z0-9_.-]+";
        };
      };
      widens = "add";
      danger = "high";
      words = {
        may = "use";
        thing = "tool";
        all = "*";
      };
      default = [ ];
      description = ''
        Tools of this server that the agent may use, without the `mcp__NAME__`
        prefix. `"*"` allows all of them.
      '';
      example = [
        "query"
        "list_tables"
      ];
    };
  };
in
{
  mcpServers = option {
    type = t.named {
      what = "letters, digits, - and single _ (\"hive\" is taken)";
      pattern = "[a-zA-Z0-9-]+(_[a-zA-Z0-9-]+)*";
      reserved = [
        "hive"
        "hyperhive"
      ];
      max = 32;
      each = server;
    };
    widens = "entry";
    danger = "critical";
    words = {
      name = "MCP server";
      command = [
        "command"
        "args"
      ];
    };
    default = { };
    description = "MCP servers that the harness starts for the agent, by name.";
    example.notes = {
      command = "mcp-server-sqlite";
      args = [
        "--db"
        "/state/notes.sqlite"
      ];
      allowedTools = [ "query" ];
    };
  };
}
