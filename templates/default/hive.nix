# What a machine needs for a hive, beside its own configuration. All options:
# docs/host-options.md of hyperhive, or `man hyperhive.nix` after the switch.
{
  # For upgrades: `git pull` in your copy of hyperhive, `nix flake update`.
  programs.git.enable = true;
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];

  services.hyperhive = {
    enable = true;

    # Users of this machine who may use `hive`, and with it approve anything: put yours here.
    operators = [ "alice" ];

    # Outside the Nix store, which is world-readable; must be there before the switch:
    #   install -m 0400 -D /dev/stdin /var/lib/secrets/anthropic-api-key
    apiKeyFile = "/var/lib/secrets/anthropic-api-key";

    # The dashboard. Reach it by `ssh -L 7000:127.0.0.1:7000 HOST`, or see
    # docs/install.md for a name and TLS.
    dashboard.port = 7000;

    # What no agent can exceed, whatever is proposed.
    limits = {
      costPerDay = 20;
      memoryMax = "4G";
      cpuQuota = 200;
    };

    # What an agent has that says nothing else.
    defaults = {
      costPerDay = 5;
      memoryMax = "2G";
      cpuQuota = 100;
    };

    # Agents from the first start, beside the manager; more are made by proposals.
    # agents.wiki.source = ./agents/wiki;
  };
}
