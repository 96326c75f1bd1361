# Secrets of the operator: requests that carry them, or where the agent sees them.
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
        The one host whose requests carry the secret, over HTTPS, with a port if it is not
        443. `hyperhive.network.allow` must allow it.
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
        name `x-access-token`), which GitHub, Forgejo, Gitea and GitLab take for tokens.
        `header` and `format` keep their defaults then.
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
      description = "The header that carries it. Whatever the agent sends in it is replaced.";
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
      description = "The header's value, with `{}` for the secret's.";
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
        Hosts whose requests carry the value. `hive-egress` puts it in on the way out, so
        that the agent never has it: it ends the TLS of these hosts, and of no other, with a
        certificate that only this agent's programs are told to trust, and makes a verified
        connection to the host. Requests there are HTTP/1.1.
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
        also = "It can use the value for anything, and send it wherever it may reach.";
      };
      default = null;
      description = ''
        For programs that cannot do with `inject`: the agent gets the value. `"env"`: as a
        variable of this name in the environment of the CLI, its tools and MCP servers,
        and the operator's terminals; `"file"`: in `/run/hive/secrets/NAME`, in memory,
        readable only by the agent's user. The value is that of the beginning of a turn,
        and is hidden in everything that the hive shows of the agent. It must have 8 bytes
        at least, and 8 KiB at most. Not together with `inject`.
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
      also = "What the agent does with it is done with the rights that its value gives.";
    };
    default = { };
    description = ''
      Values that the operator holds (`hive secret set NAME`,
      `services.hyperhive.secrets`) and that the agent uses, without seeing them unless
      `expose` says so.
    '';
    example.GITHUB_TOKEN.inject = [ { host = "api.github.com"; } ];
  };
}
