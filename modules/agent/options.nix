# hyperhive.*: what an agent is. The one source of option names, types, bounds,
# defaults, documentation and of how a change widens an agent's power. From it
# come schema.json, pyglue/manifest_types.py and docs/options.md (`make generate`).
#
# `hyperhive` is ONE option holding a submodule, so that a misspelt name below it
# is an error although everything outside it passes through (see ../eval).
#
# Kinds of `widens`, read by the policy diff:
#   none       changes nothing that the agent can do
#   behaviour  changes what the agent does, not what it may do
#   change     any change widens
#   add        list: an added item widens, and so does null (no limit)
#   enable     false to true widens
#   raise      a higher value widens, and so does null (no limit)
#   dearer     a model that costs more widens
#   env        any variable added, changed or removed widens; values are shown
#   entry      set of entries: a new one widens; inside it the options' own kinds
#   access     "read" or "write": from read to write widens
#   inject     list of uses of a secret: a new or changed one widens
#   expose     how the agent sees a secret's value: any way that is new widens
#
# `danger` of an option that can widen: how bad it is if that was not meant. The operator
# reads what widens in this order; an option without it counts as critical.
#   critical   leaves the sandbox, runs other code, or lifts every bound
#   high       more tools, more recipients, more money
#   medium     a dearer model, more of a bounded resource
#
# `words` is how the policy diff speaks of the option; all of it may be left out:
#   name             what it is, in a noun phrase without article
#   prefix, suffix   around a value
#   null, none       what null and an empty list mean, after "may" or as a value
#   default          what null means, where that is not "no limit"
#   may              add: what one item lets the agent do
#   thing, things    add: what an item is, and several (default: thing with an s)
#   all              add: the item that stands for every one
#   on, off          enable, access: the sentence
#   command          entry: the options that make up its command line
#   also             sentence added where a change widens
{ lib, ... }:
let
  t = import ./types.nix { inherit lib; };
  inherit (t) option;

  variables = t.named {
    what = "variable names";
    pattern = "[A-Za-z_][A-Za-z0-9_]*";
    max = 100;
    each = t.text {
      what = "string";
      max = 32768;
    };
  };

  commandPattern =
    let
      word = "[A-Za-z0-9@%+=:,./_~^?!{}*#-]+";
    in
    "${word}( ${word})*";

  hosts = option {
    type = t.list {
      max = 200;
      of = t.text {
        what = "host such as github.com, *.example.org or db.example.org:5432";
        max = 262;
        pattern = "([*][.])?[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?|\\[[0-9a-f:.]+](:[1-9][0-9]{0,4})?";
      };
    };
    widens = "add";
    danger = "high";
    words = {
      may = "reach";
      thing = "host";
      none = "reach no host";
      also = "It can send everything it knows there.";
    };
    default = [ ];
    description = ''
      Hosts that the agent may reach although its container has no network: by name
      (`github.com`), every name below one (`*.example.org`), or by address (`192.0.2.7`,
      `[2001:db8::7]`), each with a port (`db.example.org:5432`) if it is not 80 or 443.
      `hive-egress` makes the connections and refuses every address that is not public.
    '';
    example = [
      "github.com"
      "*.githubusercontent.com"
    ];
  };

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
        Seconds after which a call of one of this server's tools is ended and its failure
        reported to the model. `null`: the CLI's own limit, which is half an hour without
        a result or a sign of progress.
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

  wakeUp = t.group {
    at = option {
      type = t.text {
        what = "calendar expression of systemd's";
        max = 100;
        pattern = "[A-Za-z0-9*][A-Za-z0-9*,./:~+_ -]*";
      };
      widens = "change";
      danger = "medium";
      words.name = "time";
      description = ''
        When the message is sent: a calendar expression of systemd's (`man
        systemd.time`), with or without a time zone at its end. Without one it is the
        host's `services.hyperhive.timeZone`.
      '';
      example = "Mon..Fri 08:00 Europe/Berlin";
    };
    message = option {
      type = t.paragraphs { max = 8192; };
      widens = "behaviour";
      words.name = "message";
      description = "The message that the agent gets.";
      example = "Report what changed in /work/site since yesterday.";
    };
  };

  access = t.oneOf [
    "read"
    "write"
  ];

  workspace = t.group {
    access = option {
      type = access;
      widens = "access";
      danger = "critical";
      words = {
        name = "access";
        also = "It may create, change and delete files of the host there; whoever runs a program from there runs what the agent wrote.";
      };
      default = "read";
      description = ''
        What the agent may do with the files: `"read"`, or `"write"` for everything that
        the directory's owner may do.
      '';
      example = "write";
    };
  };

  injection = t.group {
    host = option {
      type = t.text {
        what = "host such as github.com or forge.example.org:8443";
        max = 262;
        pattern = "[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?";
      };
      widens = "change";
      danger = "critical";
      words.name = "host";
      description = ''
        The one host whose requests carry the secret, over HTTPS, with a port if it is not
        443. `hyperhive.network.allow` must allow it.
      '';
      example = "api.github.com";
    };
    preset = option {
      type = t.orNull (t.oneOf [ "git" ]);
      widens = "change";
      danger = "critical";
      words.name = "preset";
      default = null;
      description = ''
        `"git"`: as the password of Git over HTTPS (`Authorization: Basic …` with the user
        name `x-access-token`), which GitHub, Forgejo, Gitea and GitLab take for tokens.
        `header` and `format` keep their defaults then.
      '';
      example = "git";
    };
    header = option {
      type = t.text {
        what = "name of a header";
        max = 64;
        pattern = "[A-Za-z][A-Za-z0-9-]*";
      };
      widens = "change";
      danger = "critical";
      words.name = "header";
      default = "Authorization";
      description = "The header that carries it. Whatever the agent sends in it is replaced.";
      example = "PRIVATE-TOKEN";
    };
    format = option {
      type = t.text {
        what = "text with {} for the value, of visible ASCII characters";
        max = 200;
        pattern = "([!-~][ -~]*)?[{][}]([ -~]*[!-~])?";
      };
      widens = "change";
      danger = "critical";
      words.name = "format";
      default = "Bearer {}";
      description = "The header's value, with `{}` for the secret's.";
      example = "token {}";
    };
  };

  secret = t.group {
    inject = option {
      type = t.list {
        max = 16;
        of = injection;
      };
      widens = "inject";
      danger = "critical";
      words.name = "uses";
      default = [ ];
      description = ''
        Hosts whose requests carry the value. `hive-egress` puts it in on the way out, so
        that the agent never has it: it ends the TLS of these hosts, and of no other, with a
        certificate that only this agent's programs are told to trust, and makes a verified
        connection to the host. Requests there are HTTP/1.1.
      '';
      example = [
        {
          host = "github.com";
          preset = "git";
        }
        { host = "api.github.com"; }
      ];
    };
    expose = option {
      type = t.orNull (
        t.oneOf [
          "env"
          "file"
        ]
      );
      widens = "expose";
      danger = "critical";
      words = {
        name = "exposure";
        also = "It can use the value for anything, and send it wherever it may reach.";
      };
      default = null;
      description = ''
        For programs that cannot do with `inject`: the agent gets the value. `"env"`: as a
        variable of this name in the environment of the CLI, its tools and the operator's
        terminals; `"file"`: in `/run/hive/secrets/NAME`, in memory, readable
        only by the agent's user. The value is that of the beginning of a turn, and is
        hidden in everything that the hive shows of the agent. It must have 8 bytes at
        least, and 8 KiB at most. Not together with `inject`.
      '';
      example = "env";
    };
  };

  webhook = t.group {
    kind = option {
      type = t.oneOf [
        "github"
        "forgejo"
        "gitlab"
        "generic"
      ];
      widens = "change";
      danger = "high";
      words.name = "kind";
      description = ''
        Who delivers, which decides how a delivery is signed: `forgejo` is Gitea, too, and
        a `generic` sender signs with `X-Hook-Signature`.
      '';
      example = "github";
    };
    secret = option {
      type = t.text {
        what = "name of a secret: capitals, digits and _";
        max = 64;
        pattern = "[A-Z][A-Z0-9_]*";
      };
      widens = "change";
      danger = "high";
      words.name = "secret";
      description = ''
        Name of the secret that deliveries are signed with. The operator sets its value:
        `hive secret set NAME`.
      '';
      example = "HOOK_SECRET";
    };
    events = option {
      type = t.list {
        max = 50;
        of = t.text {
          what = "event, or event and action such as pull_request.opened, or \"*\" for all";
          max = 100;
          pattern = "[*]|[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)?";
        };
      };
      widens = "add";
      danger = "high";
      words = {
        may = "be woken by";
        thing = "event";
        all = "*";
        none = "none of its events";
      };
      default = [ ];
      description = ''
        Events that wake the agent, as the forge names them (`push`, `merge_request`), or
        with their action (`pull_request.opened`). `"*"`: all. All others are ignored.
      '';
      example = [
        "pull_request.opened"
        "issue_comment"
      ];
    };
  };
in
{
  options.hyperhive = option {
    type = t.group {
      model = option {
        type = t.text {
          what = "model alias or id";
          max = 100;
          pattern = "[a-z0-9][A-Za-z0-9.@:_/-]*";
        };
        widens = "dearer";
        danger = "medium";
        words.name = "model";
        default = "haiku";
        description = ''
          The agent's model: an alias (`haiku`, `sonnet`, `opus`) or a full ID.
        '';
        example = "sonnet";
      };

      description = option {
        type = t.text {
          what = "one line";
          max = 300;
          pattern = "[^\n\r]*";
        };
        widens = "none";
        words.name = "description";
        default = "";
        description = "The agent's purpose in one line, shown next to its name.";
        example = "Reviews pull requests";
      };

      prompt = option {
        type = t.paragraphs { max = 65536; };
        widens = "behaviour";
        words.name = "prompt";
        default = "";
        description = ''
          The agent's own part of the system prompt, appended to the part that all
          agents share. Multiple definitions are joined with newlines.
        '';
        example = "You review Nix code. Answer in one short paragraph.";
      };

      allowedTools = option {
        type = t.list {
          max = 64;
          of = t.text {
            what = "name of a built-in tool";
            max = 64;
            pattern = "[A-Z][A-Za-z0-9]*";
          };
        };
        widens = "add";
        danger = "high";
        words = {
          may = "use";
          thing = "tool";
        };
        default = [ ];
        description = ''
          Built-in CLI tools that the agent may use. The hive's own tools are
          always available. `Bash` runs only the commands that
          `hyperhive.bash.allow` permits.
        '';
        example = [
          "Bash"
          "Read"
          "Edit"
          "Write"
        ];
      };

      bash.allow = option {
        type = t.orNull (
          t.list {
            max = 200;
            of = t.text {
              what = "command pattern: words with single spaces between, no quotes or shell operators";
              max = 300;
              pattern = "Bash[(]${commandPattern}[)]|${commandPattern}";
            };
          }
        );
        # Claude Code's own spelling. A whole word of `:*` at the end means further words.
        apply =
          allow:
          if allow == null then
            null
          else
            map (
              text:
              let
                inner = builtins.match "Bash[(](.*)[)]" text;
                bare = if inner == null then text else builtins.head inner;
                prefix = builtins.match "(.*[^: *]):[*]" bare;
              in
              if prefix == null then bare else "${builtins.head prefix} *"
            ) allow;
        widens = "add";
        danger = "high";
        words = {
          may = "run";
          thing = "command";
          null = "any command in its container, with the shell's whole language";
          also = "This is a policy, not a security boundary: only the container confines what a command does.";
        };
        default = [ ];
        description = ''
          Commands that the Bash tool may run, as word patterns. Each word matches
          one word of the command after shell parsing; `*` inside a word matches
          any part of that word; a final `*` on its own matches any number of
          further words, including none. Every command in a pipeline or list must
          match a pattern. Wildcards never match arguments that would run another
          program, load code or write elsewhere. Claude Code's spelling
          (`Bash(git diff:*)`, `git diff:*`) means `git diff *`. `null`: any command,
          with redirections, variables, loops and background jobs. This is a policy,
          not a security boundary.
        '';
        example = [
          "git status"
          "git commit *"
          "nix-instantiate --parse *.nix"
        ];
      };

      bash.write = option {
        type = t.flag;
        widens = "enable";
        danger = "high";
        words = {
          name = "shell redirection into files";
          on = "May now redirect the output of allowed commands into files below its working directory.";
          off = "May no longer redirect the output of commands into files.";
        };
        default = false;
        description = ''
          Whether commands that `hyperhive.bash.allow` permits may redirect their
          output into files below the working directory (`> out.txt`). Start-up files
          such as `.bashrc` or `.git/config` stay out of reach. No effect where
          `hyperhive.bash.allow` is `null`.
        '';
        example = true;
      };

      allowedRecipients = option {
        type = t.orNull (
          t.list {
            max = 200;
            of = t.text {
              what = "agent name or \"operator\"";
              max = 9;
              pattern = "[a-z][a-z0-9-]{0,8}";
            };
          }
        );
        widens = "add";
        danger = "high";
        words = {
          may = "send to";
          null = "anyone";
          none = "nobody but the manager";
        };
        default = null;
        description = ''
          Allowed recipients of the agent's messages. `null`: everyone. `[ ]`: only
          the manager, which can always be reached.
        '';
        example = [
          "operator"
          "alice"
        ];
      };

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

      secrets = option {
        type = t.named {
          what = "capitals, digits and _";
          pattern = "[A-Z][A-Z0-9_]*";
          max = 16;
          each = secret;
        };
        widens = "entry";
        danger = "critical";
        words = {
          name = "secret";
          also = "What the agent does with it is done with the rights that its value gives.";
        };
        default = { };
        description = ''
          Values that the operator holds (`hive secret set NAME`,
          `services.hyperhive.secrets`) and that the agent uses, without seeing them unless
          `expose` says so.
        '';
        example.GITHUB_TOKEN.inject = [ { host = "api.github.com"; } ];
      };

      webhooks = option {
        type = t.named {
          what = "letters, digits, - and _";
          pattern = "[a-zA-Z0-9][a-zA-Z0-9_-]*";
          max = 16;
          each = webhook;
        };
        widens = "entry";
        danger = "high";
        words = {
          name = "webhook";
          also = "Whoever knows its secret can send the agent messages, and what others wrote reaches it.";
        };
        default = { };
        description = ''
          Addresses at which a forge or another program can send the agent messages:
          `POST /hooks/AGENT/NAME` at the dashboard's address. Deliveries must be signed;
          each becomes one message with who, what, a link, and the payload as quoted text.
        '';
        example.reviews = {
          kind = "github";
          secret = "HOOK_SECRET";
          events = [ "pull_request.opened" ];
        };
      };

      schedule = option {
        type = t.named {
          what = "letters, digits, - and _";
          pattern = "[a-zA-Z0-9][a-zA-Z0-9_-]*";
          max = 16;
          each = wakeUp;
        };
        widens = "entry";
        danger = "medium";
        words = {
          name = "schedule";
          also = "It wakes the agent without anybody's doing, and each message may cost a turn.";
        };
        default = { };
        description = ''
          Messages that the hive sends to the agent at set times, by name. One that was
          missed while the hive was down is sent once afterwards, and says so; none is
          sent while the last of the same schedule is unread.
        '';
        example.morning = {
          at = "Mon..Fri 08:00";
          message = "Report what changed since yesterday.";
        };
      };

      workspaces = option {
        type = t.named {
          what = "lowercase letters, digits, - and _";
          pattern = "[a-z0-9][a-z0-9_-]*";
          max = 32;
          each = workspace;
        };
        widens = "entry";
        danger = "high";
        words = {
          name = "workspace";
          also = "The agent may read every file of this directory of the host, at /work.";
        };
        default = { };
        description = ''
          Directories of the host that the agent has at `/work/NAME`, by the names that
          the operator gave them (`services.hyperhive.workspaces`, or
          `hive workspace add NAME PATH`).
        '';
        example.site.access = "write";
      };

      shared = option {
        type = access;
        widens = "access";
        danger = "high";
        words = {
          name = "access to /shared";
          on = "May now write in /shared, which every agent reads.";
          off = "May no longer write in /shared, only read.";
        };
        default = "read";
        description = ''
          What the agent may do in `/shared`, the one directory that all agents of the
          hive have: `"read"` or `"write"`.
        '';
        example = "write";
      };

      env = option {
        type = variables;
        widens = "env";
        danger = "critical";
        words.name = "environment variable";
        default = { };
        description = "Environment variables for the agent's turns and commands.";
        example.EDITOR = "true";
      };

      network = option {
        type = t.flagOr {
          beside = "hosts";
          inner.allow = hosts;
        };
        widens = "enable";
        danger = "critical";
        words = {
          on = "The container gets network access: the agent can reach the internet and send out everything it knows.";
          off = "The container loses network access.";
        };
        default = false;
        description = ''
          Whether the container has network access. Without it, the agent can reach
          only the model and the hive. Instead of `true`, set `network.allow` to the hosts
          that it may reach through the hive's proxy.
        '';
        example = true;
      };

      serverTools = option {
        type = t.list {
          max = 3;
          of = t.oneOf [
            "web_search"
            "web_fetch"
            "code_execution"
          ];
        };
        widens = "add";
        danger = "critical";
        words = {
          may = "use";
          thing = "tool of the model provider";
          things = "tools of the model provider";
          also = "They reach the internet even if the container has no network.";
        };
        default = [ ];
        description = ''
          Tools run by the model provider that the relay allows. They reach the
          internet even without `hyperhive.network`.
        '';
        example = [ "web_search" ];
      };

      limits = {
        turnsPerHour = option {
          type = t.orNull (
            t.whole {
              min = 1;
              max = 100000;
            }
          );
          widens = "raise";
          danger = "medium";
          words.name = "hourly turn limit";
          default = null;
          description = ''
            Turns that may start in any 60 minutes; `null`: no limit. It only paces a
            well-behaved agent; cost and token limits also stop a hostile one.
          '';
          example = 60;
        };
        costPerDayUsd = option {
          type = t.orNull (t.positive { max = 100000; });
          widens = "raise";
          danger = "high";
          words = {
            name = "daily cost limit";
            prefix = "$";
          };
          default = null;
          description = ''
            Daily model cost in US dollars (UTC days), counted by the relay; `null`:
            no limit.
          '';
          example = 2.5;
        };
        tokensPerDay = option {
          type = t.orNull (
            t.whole {
              min = 1;
              max = 1000000000000;
            }
          );
          widens = "raise";
          danger = "medium";
          words = {
            name = "daily token limit";
            suffix = " tokens";
          };
          default = null;
          description = ''
            Daily tokens read and written by the model (UTC days), cached or not,
            counted by the relay; `null`: no limit.
          '';
          example = 5000000;
        };
        memoryMax = option {
          type = t.orNull (
            t.text {
              what = "size such as 512M or 2G";
              max = 10;
              pattern = "[1-9][0-9]{0,8}[KMGT]";
            }
          );
          widens = "raise";
          danger = "medium";
          words = {
            name = "memory limit";
            default = "the hive's default";
          };
          default = null;
          description = ''
            Memory limit of the container, in powers of 1024; `null`: the hive's
            default.
          '';
          example = "2G";
        };
        cpuQuota = option {
          type = t.orNull (
            t.whole {
              min = 1;
              max = 100000;
            }
          );
          widens = "raise";
          danger = "medium";
          words = {
            name = "CPU limit";
            suffix = " % of one processor";
            default = "the hive's default";
          };
          default = null;
          description = ''
            CPU limit in percent of one processor (200: two processors); `null`:
            the hive's default.
          '';
          example = 100;
        };
      };

      notes.maxBytes = option {
        type = t.whole {
          min = 1024;
          max = 1048576;
        };
        widens = "behaviour";
        words = {
          name = "size at which the notes are compacted";
          suffix = " bytes";
        };
        default = 16384;
        description = ''
          Size in bytes at which `/state/notes.md` is compacted between turns.
        '';
        example = 32768;
      };

      autoCompact = option {
        type = t.orNull (
          t.whole {
            min = 10000;
            max = 2000000;
          }
        );
        widens = "behaviour";
        words = {
          name = "size at which the session is compacted";
          suffix = " tokens";
          null = "only when it is full";
        };
        default = 150000;
        description = ''
          Context size in tokens at which the session is compacted before its next
          turn; `null`: only when the model reports that the context is full.
        '';
        example = 100000;
      };

      keepWarm = option {
        type = t.whole {
          min = 0;
          max = 86400;
        };
        widens = "behaviour";
        words = {
          name = "time for which Claude Code stays alive after a turn";
          suffix = " s";
        };
        default = 300;
        description = ''
          Seconds for which Claude Code stays alive after a turn, so that the next turn
          begins at once instead of after half a second; `0`: it ends with each turn.
          Meanwhile it is stopped and uses memory only, within the host's
          `services.hyperhive.warm.memory`.
        '';
        example = 0;
      };

      delivery = option {
        type = t.oneOf [
          "boundary"
          "turn"
        ];
        widens = "behaviour";
        words.name = "time at which messages reach a running turn";
        default = "boundary";
        description = ''
          When messages reach a turn that is already running. `"boundary"`: when its
          current tool calls have ended. What the operator sends and what has high
          priority is then delivered whole; of everything else the agent is told once that
          it is waiting. `"turn"`: never; they wait for the next turn, unless the agent
          calls `recv`.
        '';
        example = "turn";
      };
    };
    widens = "change";
    default = { };
    description = "The agent's definition. It is evaluated without nixpkgs: `pkgs` is not available here.";
    example = { model = "sonnet"; };
  };
}
