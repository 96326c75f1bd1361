# Whom the agent may send messages to, and what sends it some: schedules.
{ t }:
let
  inherit (t) option;

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
}
