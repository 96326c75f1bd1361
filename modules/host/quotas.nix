# quotas: bounds for everything that an agent can grow. disk: free space. warm: memory of Claude
# Code between turns.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  quota =
    default: description:
    mkOption {
      type = types.nullOr types.ints.positive;
      inherit default;
      example = 2 * default;
      description = "${description}; `null`: no limit.";
    };

  free =
    default: description:
    mkOption {
      type = types.ints.unsigned;
      inherit default description;
      example = 2 * default;
    };
in
{
  options.services.hyperhive = {
    quotas = {
      messagesMiBPerDay = quota 64 "MiB of messages, questions, answers and reminders that an agent may send per day";
      inboxMiB = quota 64 "MiB that may be queued in one agent's inbox";
      questions = quota 32 "Open questions per agent";
      reminders = quota 32 "Pending reminders per agent";
      proposalsPerHour = quota 30 "Proposals that the manager may make per hour";
      proposalsMiBPerDay = quota 256 "MiB of commits and manifests that the manager may propose per day";
      operationsPerHour = quota 120 "Starts, stops, restarts and rebuilds that the manager may request per hour";
      drafts = quota 16 "Drafts that may exist at the same time";
      egressMiBPerDay = quota 51200 "MiB that an agent may transfer per day, in both directions together, with the hosts in its `hyperhive.network.allow`; above it, its connections are cut and new ones refused until midnight (UTC)";
      historyMiB = mkOption {
        type = types.ints.positive;
        default = 64;
        example = 128;
        description = "MiB of turn history per agent; the oldest events are deleted first.";
      };
      stateMiB = quota 10240 "MiB of files per agent (`/state` and those of its CLI); above it, the agent is on hold";
      stateFiles = quota 500000 "Files and directories per agent; above it, the agent is on hold";
    };
    disk = {
      ballastMiB = free 64 ''
        MiB that the hive reserves in its state directory and releases when the disk is
        full, so that the operator's commands still work. At most 1/20 of the disk.
      '';
      reserveMiB = free 256 ''
        Agents are on hold while fewer MiB are free on the disk of the state directory, and
        continue automatically. At most 1/10 of the disk.
      '';
    };
    warm.memory = mkOption {
      type = types.nullOr (types.strMatching "0|[1-9][0-9]{0,8}[KMGT]");
      default = null;
      example = "4G";
      description = ''
        Memory, in powers of 1024, that all agents' Claude Code processes together may use between
        turns (`hyperhive.keepWarm` of an agent), about 200 MiB each. When it is used up, the least
        recently used ones end, and all of them when the machine runs short of memory; the next turn
        of such an agent starts a process. `null`: a quarter of the machine's memory; `"0"`: none.
      '';
    };
  };
}
