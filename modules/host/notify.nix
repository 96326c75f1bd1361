# hive-notify: sends notifications where the operator reads them. It has a network, and
# of the hive nothing but the socket on which hived tells it titles and links, or what
# only a browser can read: the keys of Web Push are hived's.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.hyperhive;
  notify = cfg.notify;
  t = import ./types.nix { inherit lib; };
in
{
  options.services.hyperhive.notify = {
    urlFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/hive-notify-urls";
      description = ''
        File with one Apprise URL a line (ntfy, Matrix, Telegram, mail and many more),
        outside the world-readable Nix store, because URLs hold passwords. `null`: none.
      '';
    };
    events = mkOption {
      type = types.listOf (
        types.enum [
          "approvals"
          "questions"
          "messages"
          "trouble"
          "budgets"
        ]
      );
      default = [
        "approvals"
        "questions"
        "messages"
        "trouble"
        "budgets"
      ];
      example = [ "approvals" "questions" ];
      description = ''
        What is sent: pending approvals, questions and messages to the operator, agents in
        trouble, used-up budgets. Each is a title and, if `dashboard.externalUrl` is set, a
        link.
      '';
    };
    quietHours = mkOption {
      type = types.nullOr (
        types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]"
      );
      default = null;
      example = "22:00-07:00";
      description = ''
        Daily hours, in `timeZone`, in which nothing is sent; it is sent afterwards. `null`:
        none.
      '';
    };
    webPush = {
      enable = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = ''
          Whether browsers can subscribe to notifications on the dashboard (Web Push). The
          services that their makers run for that (of Google, Mozilla, Apple or Microsoft) are
          then called over HTTPS; they cannot read the notifications. Browsers subscribe only
          where the dashboard has https, or on localhost.
        '';
      };
      contact = mkOption {
        type = types.nullOr (types.strMatching "(mailto:|https://)[!-~]{1,300}");
        default = null;
        example = "mailto:hive@example.org";
        description = ''
          Address at which the operators of push services can reach you; Apple's needs one.
          `null`: `dashboard.externalUrl` if that has https, else none.
        '';
      };
      privateHosts = mkOption {
        type = types.listOf t.host;
        default = [ ];
        example = [ "push.lan:8443" ];
        description = ''
          Push services of your own that have private addresses. All others must have
          addresses on the public internet, because browsers say where they are.
        '';
      };
    };
  };

  config = lib.mkIf (cfg.enable && (notify.urlFile != null || notify.webPush.enable)) {
    users.users.hive-notify = {
      uid = cfg.ids.notify;
      description = "hyperhive's notifications";
      group = "hive-notify";
      isSystemUser = true;
    };
    users.groups.hive-notify.gid = cfg.ids.notify;

    systemd.services.hive-notify = import ./networked-daemon.nix {
      inherit cfg;
      name = "hive-notify";
      description = "hyperhive: notifications";
      fences = [
        "/run/hyperhive/operator.sock"
        "/run/hyperhive/relay.sock"
        "/run/hyperhive/egress.sock"
      ];
      more = {
        LoadCredential = lib.optional (notify.urlFile != null) "urls:${toString notify.urlFile}";
        # Its own socket lies in a directory that hived makes for it.
        ReadWritePaths = [ "/run/hyperhive/notify" ];
      };
    };
  };
}
