# quotas: how much of everything an agent may make grow. disk: what is kept free.
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
      messagesMiBPerDay = quota 64 "MiB that an agent may send a day, in messages, questions, answers and reminders";
      inboxMiB = quota 64 "MiB that may be queued in one agent's inbox";
      questions = quota 32 "Questions that an agent may have open";
      reminders = quota 32 "Reminders that an agent may have pending";
      proposalsPerHour = quota 30 "Proposals that the manager may make in an hour";
      proposalsMiBPerDay = quota 256 "MiB of commits and manifests that the manager may propose a day";
      operationsPerHour = quota 120 "Starts, stops, restarts and rebuilds that the manager may request in an hour";
      drafts = quota 16 "Drafts that may exist at once";
      historyMiB = mkOption {
        type = types.ints.positive;
        default = 64;
        example = 128;
        description = "MiB of the history of an agent's turns; its oldest events make room.";
      };
      stateMiB = quota 10240 "MiB of an agent's files (`/state` and those of its CLI); above it the agent is held";
      stateFiles = quota 500000 "Files and directories of an agent; above it the agent is held";
    };
    disk = {
      ballastMiB = free 64 ''
        MiB that the hive sets aside in its state directory and frees for itself when the
        disk is full, so that the operator's commands still work then. At most a twentieth
        of the disk.
      '';
      reserveMiB = free 256 ''
        Agents are held while fewer MiB than these are free where the state directory is,
        and continue by themselves. At most a tenth of the disk.
      '';
    };
  };
}
