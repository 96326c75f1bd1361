# hive-notify: sends notifications where the operator reads them. It has a network, and
# of the hive nothing but the socket on which hived tells it titles and links.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.hyperhive;
  notify = cfg.notify;
in
{
  options.services.hyperhive.notify = {
    urlFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/hive-notify-urls";
      description = ''
        File with one Apprise URL a line (ntfy, Matrix, Telegram, mail and many more),
        outside the world-readable Nix store, because URLs hold passwords. `null`: no
        notifications leave the dashboard.
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
  };

  config = lib.mkIf (cfg.enable && notify.urlFile != null) {
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
        LoadCredential = [ "urls:${toString notify.urlFile}" ];
        # Its own socket lies in a directory that hived makes for it.
        ReadWritePaths = [ "/run/hyperhive/notify" ];
      };
    };
  };
}
