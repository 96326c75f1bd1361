# hive-notify: sends notifications to external services. It has a network; its only link to the hive
# is a socket on which hived passes it titles and links, and messages encrypted for browsers: hived
# keeps the keys of Web Push.
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
        File with one Apprise URL per line (ntfy, Matrix, Telegram, e-mail and many more), outside
        the world-readable Nix store, because URLs contain passwords. `null`: none.
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
        Notifications to send: pending approvals, questions and messages to the operator, agents
        with problems (`trouble`), used-up budgets. Each consists of a title and, if
        `dashboard.externalUrl` is set, a link.
      '';
    };
    quietHours = mkOption {
      type = types.nullOr (
        types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]"
      );
      default = null;
      example = "22:00-07:00";
      description = ''
        Daily hours, in `timeZone`, during which notifications are delayed. `null`: none.
      '';
    };
    webPush = {
      enable = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = ''
          Whether browsers can subscribe to notifications on the dashboard (Web Push). They are sent
          over HTTPS through the push services of the browsers' makers (Google, Mozilla, Apple or
          Microsoft), which cannot read them. Browsers can only subscribe if the dashboard uses
          https, or on localhost.
        '';
      };
      contact = mkOption {
        type = types.nullOr (types.strMatching "(mailto:|https://)[!-~]{1,300}");
        default = null;
        example = "mailto:hive@example.org";
        description = ''
          Address at which the operators of push services can reach you; Apple's requires one.
          `null`: `dashboard.externalUrl` if it uses https, else none.
        '';
      };
      privateHosts = mkOption {
        type = types.listOf t.host;
        default = [ ];
        example = [ "push.lan:8443" ];
        description = ''
          Your own push services with private addresses. Others must have public addresses, because
          browsers supply them.
        '';
      };
    };
  };

  config = lib.mkIf (cfg.enable && (notify.urlFile != null || notify.webPush.enable)) {
    users.users.hive-notify = {
      uid = cfg.ids.notify;
      description = "hyperhive notifications";
      group = "hive-notify";
      isSystemUser = true;
    };
    users.groups.hive-notify.gid = cfg.ids.notify;

    systemd.services.hive-notify = import ./networked-daemon.nix {
      inherit cfg;
      name = "hive-notify";
      description = "hyperhive notifications";
      fences = [
        "/run/hyperhive/operator.sock"
        "/run/hyperhive/relay.sock"
        "/run/hyperhive/egress.sock"
      ];
      more = {
        LoadCredential = lib.optional (notify.urlFile != null) "urls:${toString notify.urlFile}";
        # Its own socket is in a directory that hived creates for it.
        ReadWritePaths = [ "/run/hyperhive/notify" ];
      };
    };
  };
}
