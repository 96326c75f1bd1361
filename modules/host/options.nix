# The hive itself: where it lives, what it is made of, whom it asks and for how long.
{ lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkOption types;
  t = import ./types.nix { inherit lib; };

  # A whole tree in the store; "source" is what a flake's own tree is called there, so
  # that the same files are not stored twice.
  stored =
    path:
    builtins.path {
      inherit path;
      name = "source";
    };

  days =
    default: what:
    mkOption {
      type = t.days;
      inherit default;
      example = 2 * default;
      description = "Days that ${what} kept.";
    };

  seconds =
    default: example: description:
    mkOption {
      type = t.seconds;
      inherit default example description;
    };

  user =
    default: who:
    mkOption {
      type = types.ints.between 1000 60000;
      inherit default;
      example = default + 100;
      description = ''
        User and group id of ${who}. The same on every host and in every container, so it
        is fixed; outside what systemd gives to dynamic users (61184 to 65519).
      '';
    };
in
{
  options.services.hyperhive = {
    enable = lib.mkEnableOption "hyperhive, a hive of Claude Code agents";
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../../package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./package.nix { }";
      example = literalExpression "inputs.hyperhive.packages.x86_64-linux.default";
      description = "The package with `hived`, `hive-web`, `hive-relay` and `hive`.";
    };
    stateDir = mkOption {
      type = t.directory;
      default = "/var/lib/hyperhive";
      example = "/srv/hyperhive";
      description = ''
        Where the hive keeps everything: store, repositories, audit log, what agents
        write. Only root can read it.
      '';
    };
    operators = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = ''
        Users who may operate the hive with `hive`: they become members of the group
        `hive-operators`. Whoever is in it can approve anything.
      '';
    };
    apiKeyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/anthropic-api-key";
      description = ''
        File with the API key, outside the Nix store (everybody can read that). systemd
        hands it to `hive-relay` alone; the file itself may be readable by root only.
        Must be set.
      '';
    };
    upstreamUrl = mkOption {
      type = types.str;
      default = "https://api.anthropic.com";
      example = "https://gateway.example.org";
      description = "Where the model is; the API key is sent there.";
    };
    nixpkgs = mkOption {
      type = types.path;
      default = stored pkgs.path;
      defaultText = literalExpression "the nixpkgs of the host";
      example = literalExpression ''"''${inputs.nixpkgs}"'';
      description = "The nixpkgs that the systems of agents are made from.";
    };
    framework = mkOption {
      type = types.path;
      default = stored ../..;
      defaultText = literalExpression "the sources that this module is part of";
      example = literalExpression ''"''${inputs.hyperhive}"'';
      description = "hyperhive's own sources, which the systems of agents are made with.";
    };
    revision = mkOption {
      type = t.word;
      default = "unknown";
      example = "0123456789abcdef0123456789abcdef01234567";
      description = ''
        Name of the framework's revision; agents that were deployed with another one are
        shown as in need of an update. The flake's module sets it.
      '';
    };
    healthTimeout = seconds 60 180 ''
      Seconds that a deployed agent has to come up well, before what ran before it is
      brought back.
    '';
    drainTimeout = seconds 60 600 "Seconds that a deploy or a pause waits for a running turn before it cancels it.";
    evaluationTimeout = seconds 120 300 "Seconds that the evaluation of an agent's system may take.";
    buildTimeout = seconds 3600 14400 "Seconds that the build of an approved system may take.";
    approvalExpiryDays = mkOption {
      type = t.days;
      default = 7;
      example = 14;
      description = "Days after which an approval that nobody decided on expires.";
    };
    retention = {
      messagesDays = days 90 "handled messages, closed questions, finished operations and turns, and usage are";
      proposalsDays = days 30 "files and manifests of proposals that were denied, superseded, withdrawn or expired are";
      historyDays = days 7 "terminal history and captured logs are";
      statsDays = days 400 "figures of usage are";
      eventsDays = days 7 "events for the live view are";
    };
    ids = {
      operators = mkOption {
        type = types.ints.between 1000 60000;
        default = 58000;
        example = 58100;
        description = "Group id of `hive-operators`.";
      };
      agent = user 58001 "`hive-agent`, who agents are inside their containers";
      web = user 58002 "`hive-web`";
      relay = user 58003 "`hive-relay`";
    };
  };
}
