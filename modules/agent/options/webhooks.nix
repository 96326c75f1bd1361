# Webhooks: addresses at which other programs send the agent messages.
{ t }:
let
  inherit (t) option;

  webhook = t.group {
    kind = option {
      type = t.oneOf [
        "github"
        "forgejo"
        "gitlab"
        "generic"
      ];
      widens = "change";
      danger = "high";
      words.name = "kind";
      description = ''
        Kind of the sender, which determines how a delivery is signed: `forgejo` also covers Gitea,
        and a `generic` sender signs with `X-Hook-Signature`.
      '';
      example = "github";
    };
    secret = option {
      type = t.text {
        what = "name of a secret: capitals, digits and _";
        max = 64;
        pattern = "[A-Z][A-Z0-9_]*";
      };
      widens = "change";
      danger = "high";
      words.name = "secret";
      description = ''
        Name of the secret that deliveries are signed with. The operator sets its value:
        `hive secret set NAME`.
      '';
      example = "HOOK_SECRET";
    };
    events = option {
      type = t.list {
        max = 50;
        of = t.text {
          what = "event, or event and action such as pull_request.opened, or \"*\" for all";
          max = 100;
          pattern = "[*]|[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)?";
        };
      };
      widens = "add";
      danger = "high";
      words = {
        may = "be woken by";
        thing = "event";
        all = "*";
        none = "none of its events";
      };
      default = [ ];
      description = ''
        Events that wake the agent, by the forge's names (`push`, `merge_request`), optionally with
        their action (`pull_request.opened`). `"*"`: all. Other events are ignored.
      '';
      example = [
        "pull_request.opened"
        "issue_comment"
      ];
    };
  };
in
{
  webhooks = option {
    type = t.named {
      what = "letters, digits, - and _";
      pattern = "[a-zA-Z0-9][a-zA-Z0-9_-]*";
      max = 16;
      each = webhook;
    };
    widens = "entry";
    danger = "high";
    words = {
      name = "webhook";
      also = "Anyone who knows its secret can send the agent messages, and other people's text reaches the agent.";
    };
    default = { };
    description = ''
      Addresses at which a forge or another program can send the agent messages:
      `POST /hooks/AGENT/NAME` at the dashboard's address. Deliveries must be signed; each becomes
      one message with sender, event, link, and the payload as quoted text.
    '';
    example.reviews = {
      kind = "github";
      secret = "HOOK_SECRET";
      events = [ "pull_request.opened" ];
    };
  };
}
