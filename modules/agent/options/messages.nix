# Allowed recipients of the agent's messages, and schedules, which send it messages.
{ t }:
let
  inherit (t) option;

  wakeUp = t.group {
    at = option {
      type = t.text {
        what = "systemd calendar expression";
        max = 100;
        pattern = "[A-Za-z0-9*][A-Za-z0-9*,./:~+_ -]*";
      };
      widens = "change";
      danger = "medium";
      words.name = "time";
      description = ''
        When the message is sent: a systemd calendar expression (`man systemd.time`), optionally
        with a time zone at its end; the default is the host's `services.hyperhive.timeZone`.
      '';
      example = "Mon..Fri 08:00 Europe/Berlin";
    };
    message = option {
      type = t.paragraphs { max = 8192; };
      widens = "behaviour";
      words.name = "message";
      description = "The message that the agent receives.";
      example = "Report what changed in /work/site since yesterday.";
    };
  };
in
{
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
      also = "It wakes the agent automatically, and each message may cost a turn.";
    };
    default = { };
    description = ''
      Messages that the hive sends to the agent at set times, by name. Times missed while the hive
      was down cause one message afterwards, which says so; no further one is sent while the last
      message of a schedule is unread.
    '';
    example.morning = {
      at = "Mon..Fri 08:00";
      message = "Report what changed since yesterday.";
    };
  };
}
