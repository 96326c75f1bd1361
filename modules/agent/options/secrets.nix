# The operator's secrets: requests that carry them, and how they are exposed to the agent.
{ t }:
let
  inherit (t) option;

  injection = t.group {
    host = option {
      type = t.text {
        what = "host such as github.com or forge.example.org:8443";
        max = 262;
        pattern = "[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?";
      };
      widens = "change";
      danger = "critical";
      words.name = "host";
      description = ''
        The host whose HTTPS requests carry the secret, with a port if it is not 443.
        `hyperhive.network.allow` must allow it.
      '';
      example = "api.github.com";
    };
    preset = option {
      type = t.orNull (t.oneOf [ "git" ]);
      widens = "change";
      danger = "critical";
      words.name = "preset";
      default = null;
      description = ''
        `"git"`: as the password of Git over HTTPS (`Authorization: Basic …` with the user
        name `x-access-token`), which GitHub, Forgejo, Gitea and GitLab accept for tokens. Do not
        set `header` or `format` with it.
      '';
      example = "git";
    };
    header = option {
      type = t.text {
        what = "name of a header";
        max = 64;
        pattern = "[A-Za-z][A-Za-z0-9-]*";
      };
      widens = "change";
      danger = "critical";
      words.name = "header";
      default = "Authorization";
      description = "The header that carries the secret; replaces the agent's own value of this header.";
      example = "PRIVATE-TOKEN";
    };
    format = option {
      type = t.text {
        what = "text with {} for the value, of visible ASCII characters";
        max = 200;
        pattern = "([!-~][ -~]*)?[{][}]([ -~]*[!-~])?";
      };
      widens = "change";
      danger = "critical";
      words.name = "format";
      default = "Bearer {}";
      description = "The header's value, with `{}` in place of the secret.";
      example = "token {}";
    };
  };

  secret = t.group {
    inject = option {
      type = t.list {
        max = 16;
        of = injection;
      };
      widens = "inject";
      danger = "critical";
      words.name = "uses";
      default = [ ];
      description = ''
        Hosts whose requests carry the value. `hive-egress` inserts it into outgoing requests, so
        that the agent never has it: for these hosts only, it terminates TLS with a certificate that
        only agents with secrets trust, and makes a verified connection to the host. Requests to
        them use HTTP/1.1.
      '';
      example = [
        {
          host = "github.com";
          preset = "git";
        }
        { host = "api.github.com"; }
      ];
    };
    expose = option {
      type = t.orNull (
        t.oneOf [
          "env"
          "file"
        ]
      );
      widens = "expose";
      danger = "critical";
      words = {
        name = "exposure";
        also = "It can use the value for anything, and send it to any host that it can reach.";
      };
      default = null;
      description = ''
        For programs that cannot use `inject`: exposes the value to the agent. `"env"`: as a
        variable of this name in the environment of the CLI, its tools and MCP servers, and the
        operator's terminals; `"file"`: in `/run/hive/secrets/NAME`, in memory, readable only by the
        agent's user. The value is read at the start of each turn, and redacted in everything that
        the hive shows of the agent. It must have 8 bytes to 8 KiB. Cannot be combined with
        `inject`.
      '';
      example = "env";
    };
  };
in
{
  secrets = option {
    type = t.named {
      what = "capitals, digits and _";
      pattern = "[A-Z][A-Z0-9_]*";
      max = 16;
      each = secret;
    };
    widens = "entry";
    danger = "critical";
    words = {
      name = "secret";
      also = "The agent acts with the rights that the value gives.";
    };
    default = { };
    description = ''
      Values that the operator stores (`hive secret set NAME`, `services.hyperhive.secrets`) and
      that the agent can use; it sees them only with `expose`.
    '';
    example.GITHUB_TOKEN.inject = [ { host = "api.github.com"; } ];
  };
}
