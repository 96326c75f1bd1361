# The configuration of a hive, in addition to the machine's own. All options: docs/host-options.md
# of hyperhive, or `man hyperhive.nix` after the switch.
{
  # For upgrades: `git pull` in your copy of hyperhive, `nix flake update`.
  programs.git.enable = true;
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];

  services.hyperhive = {
    enable = true;

    # Users of this machine who may use `hive`, and approve anything with it: add yours here.
    operators = [ "alice" ];

    # Outside the Nix store, which is world-readable; must exist before the switch:
    #   install -m 0400 -D /dev/stdin /var/lib/secrets/anthropic-api-key
    apiKeyFile = "/var/lib/secrets/anthropic-api-key";

    # The dashboard. Reach it by `ssh -L 7000:127.0.0.1:7000 HOST`, or see
    # docs/install.md for a name and TLS.
    dashboard.port = 7000;

    # Limits that no agent can exceed, whatever is proposed.
    limits = {
      costPerDay = 20;
      memoryMax = "4G";
      cpuQuota = 200;
    };

    # Values for agents that set none.
    defaults = {
      costPerDay = 5;
      memoryMax = "2G";
      cpuQuota = 100;
    };

    # Agents that exist from the first start, besides the manager; proposals add more.
    # agents.wiki.source = ./agents/wiki;
  };
}
