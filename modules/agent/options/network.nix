# The container's network access, or the hosts that it reaches without any.
{ t }:
let
  inherit (t) option;

  hosts = option {
    type = t.list {
      max = 200;
      of = t.text {
        what = "host such as github.com, *.example.org or db.example.org:5432";
        max = 262;
        pattern = "([*][.])?[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?|\\[[0-9a-f:.]+](:[1-9][0-9]{0,4})?";
      };
    };
    widens = "add";
    danger = "high";
    words = {
      may = "reach";
      thing = "host";
      none = "reach no host";
      also = "It can send everything it knows there.";
    };
    default = [ ];
    description = ''
      Hosts that the agent may reach although its container has no network: a name (`github.com`),
      all names below one (`*.example.org`), or an address (`192.0.2.7`, `[2001:db8::7]`), each with
      a port (`db.example.org:5432`) if it is not 80 or 443. `hive-egress` makes the connections and
      refuses addresses that are not public.
    '';
    example = [
      "github.com"
      "*.githubusercontent.com"
    ];
  };
in
{
  network = option {
    type = t.flagOr {
      beside = "hosts";
      inner.allow = hosts;
    };
    widens = "enable";
    danger = "critical";
    words = {
      on = "The container gets network access: the agent can reach the internet and send out everything it knows.";
      off = "The container loses network access.";
    };
    default = false;
    description = ''
      Whether the container has network access. Without it, the agent can reach
      only the model and the hive. Instead of `true`, set `network.allow` to the hosts
      that it may reach through the hive's proxy.
    '';
    example = true;
  };
}
