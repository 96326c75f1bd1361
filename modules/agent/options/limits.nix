# Limits on turns, money, tokens, memory and CPU.
{ t }:
let
  inherit (t) option;
in
{
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
        Turns that may start in any 60 minutes; `null`: no limit. It only paces a well-behaved
        agent; cost and token limits also stop a hostile one.
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
}
