# Built-in tools, the commands that Bash may run, and tools of the model provider.
{ t }:
let
  inherit (t) option;
  variables = import ./variables.nix { inherit t; };

  commandPattern =
    let
      word = "[A-Za-z0-9@%+=:,./_~^?!{}*#-]+";
    in
    "${word}( ${word})*";
in
{
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
      output into files below the working directory (`> out.txt`). Start-up files such as `.bashrc`
      or `.git/config` cannot be written. No effect if `hyperhive.bash.allow` is `null`.
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

  env = option {
    type = variables;
    widens = "env";
    danger = "critical";
    words.name = "environment variable";
    default = { };
    description = "Environment variables for the agent's turns and commands.";
    example.EDITOR = "true";
  };
}
