# The model, its prompt, and its session between turns.
{ t }:
let
  inherit (t) option;
in
{
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
      Seconds for which Claude Code stays alive after a turn, so that the next turn starts
      immediately instead of after half a second; `0`: it ends with each turn. In the meantime it is
      stopped and uses only memory, within the host's `services.hyperhive.warm.memory`.
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
      When messages reach a running turn. `"boundary"`: when its current tool calls have ended;
      messages from the operator and of high priority are delivered in full, all others are
      announced once in one line. `"turn"`: never; they wait for the next turn, unless the agent
      calls `recv`.
    '';
    example = "turn";
  };
}
