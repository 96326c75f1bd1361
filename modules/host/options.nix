# The hive itself: directories, sources, operators, credentials and timeouts.
{ lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkOption types;
  t = import ./types.nix { inherit lib; };

  # A whole tree in the store; a flake's own tree is called "source" there, so that the same files
  # are not stored twice.
  stored =
    path:
    builtins.path {
      inherit path;
      name = "source";
    };

  # Without .hive, a local hive's state, because the store is world-readable; and without .git,
  # because the path would change at each fetch.
  checkout =
    path:
    builtins.path {
      inherit path;
      name = "source";
      filter =
        file: _:
        let
          name = baseNameOf file;
        in
        builtins.substring 0 1 name != "." && !builtins.elem name [ "__pycache__" "node_modules" "result" ];
    };

  # Without flakes, if this file is imported from a checkout.
  found = builtins.tryEval (
    assert lib ? commitIdFromGitRepo && builtins.pathExists ../../.git;
    lib.commitIdFromGitRepo ../../.git
  );

  days =
    default: what:
    mkOption {
      type = t.days;
      inherit default;
      example = 2 * default;
      description = "Days for which ${what} kept.";
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
        User and group ID of ${who}. It is fixed because it must be the same on every host
        and in every container; outside systemd's range for dynamic users (61184 to 65519).
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
      example = literalExpression "inputs.hyperhive.packages.\${pkgs.stdenv.hostPlatform.system}.default";
      description = "Package that provides `hived`, `hive-web`, `hive-relay` and `hive`.";
    };
    stateDir = mkOption {
      type = t.directory;
      default = "/var/lib/hyperhive";
      example = "/srv/hyperhive";
      description = ''
        Directory for all data of the hive: store, repositories, audit log and the agents'
        files. Only root can read it.
      '';
    };
    operators = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = ''
        Users who may operate the hive with `hive`. They join the group `hive-operators`,
        whose members can approve anything.
      '';
    };
    apiKeyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/anthropic-api-key";
      description = ''
        File with the API key, outside the world-readable Nix store. systemd passes it to
        `hive-relay` only, so the file may be readable by root only. Set this,
        `oauthTokenFile` or `authTokenFile`.
      '';
    };
    oauthTokenFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/claude-oauth-token";
      description = ''
        File with the long-lived token of a Claude subscription, as `claude setup-token`
        prints it, instead of `apiKeyFile`. Costs are then estimates at list prices.
      '';
    };
    authTokenFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/gateway-token";
      description = ''
        File with the bearer token of a gateway that offers Anthropic's API at
        `upstreamUrl`, instead of `apiKeyFile`.
      '';
    };
    upstreamUrl = mkOption {
      type = types.str;
      default = "https://api.anthropic.com";
      example = "https://gateway.example.org";
      description = "URL of the model API; the API key or token is sent there.";
    };
    nixpkgs = mkOption {
      type = types.path;
      default = stored pkgs.path;
      defaultText = literalExpression "the nixpkgs of the host";
      example = literalExpression ''"''${inputs.nixpkgs}"'';
      description = "The nixpkgs that the agents' systems are built from.";
    };
    framework = mkOption {
      type = types.path;
      default = checkout ../..;
      defaultText = literalExpression "the sources that this module is part of";
      example = literalExpression ''"''${inputs.hyperhive}"'';
      description = "hyperhive's sources, which the agents' systems are built with.";
    };
    revision = mkOption {
      type = t.word;
      default = if found.success then found.value else "unknown";
      defaultText = literalExpression "the commit, if this module is in a git checkout, else \"unknown\"";
      example = "0123456789abcdef0123456789abcdef01234567";
      description = ''
        Revision of the framework; agents deployed with a different one are shown as needing
        an update. Set by the flake's module.
      '';
    };
    healthTimeout = seconds 60 180 ''
      Seconds within which a deployed agent must become healthy; otherwise its previous
      version is restored. At least 60: an agent's start may take 45 seconds, and each MCP server
      30 of them.
    '';
    drainTimeout = seconds 60 600 "Seconds that a deployment or pause waits for a running turn before cancelling it.";
    lateStepTimeout = seconds 900 3600 ''
      Seconds after which the operator is notified of a tool call without a result, such as
      an MCP server that hangs. The turn continues; it can be cancelled.
    '';
    secrets = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.file = mkOption {
            type = types.path;
            defaultText = literalExpression "must be set";
            example = "/run/secrets/github-token";
            description = ''
              File with the value, outside the world-readable Nix store, such as one from sops-nix
              or agenix. systemd passes it only to `hived`, at its start: restart `hived.service`
              when the value changes.
            '';
          };
        }
      );
      default = { };
      example = literalExpression ''{ HOOK_SECRET.file = "/run/secrets/hook-secret"; }'';
      description = ''
        Values of secrets that agents refer to by name. Names are in capitals. Set other secrets
        with `hive secret set NAME`.
      '';
    };
    workspaces = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.path = mkOption {
            type = t.directory;
            defaultText = literalExpression "must be set";
            example = "/home/alice/site";
            description = ''
              An existing directory of this host, by a path without symbolic links. Agents act there
              as its owner; directories owned by root are read-only. System directories, home
              directories themselves, hidden directories and the hive's own are refused.
            '';
          };
        }
      );
      default = { };
      example = literalExpression ''{ site.path = "/home/alice/site"; }'';
      description = ''
        Directories of this host that agents can use by name (`hyperhive.workspaces.NAME`), at
        `/work/NAME`. A workspace is available only to agents that name it.
      '';
    };
    timeZone = mkOption {
      type = types.nullOr (types.strMatching "[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*");
      default = null;
      example = "Europe/Berlin";
      description = ''
        Time zone of agents' schedules (`hyperhive.schedule`) without one of their own; `null`: the
        host's.
      '';
    };
    evaluationTimeout = seconds 120 300 "Time limit in seconds for evaluating an agent's system.";
    buildTimeout = seconds 3600 14400 "Time limit in seconds for building an approved system.";
    approvalExpiryDays = mkOption {
      type = t.days;
      default = 7;
      example = 14;
      description = "Days after which an undecided approval expires.";
    };
    retention = {
      messagesDays = days 90 "handled messages, closed questions, finished operations and turns, and usage are";
      proposalsDays = days 30 "files, manifests and comments of proposals that ended without an approval are";
      historyDays = days 7 "the history of turns is";
      statsDays = days 400 "metrics in steps of 6 hours are";
      eventsDays = days 7 "events for the live view are";
    };
    ids = {
      operators = mkOption {
        type = types.ints.between 1000 60000;
        default = 58000;
        example = 58100;
        description = "Group id of `hive-operators`.";
      };
      agent = user 58001 "`hive-agent`, the agents' user inside their containers";
      web = user 58002 "`hive-web`";
      relay = user 58003 "`hive-relay`";
      notify = user 58004 "`hive-notify`";
      egress = user 58005 "`hive-egress`";
    };
  };
}
