# The part of a machine's configuration that is about the hive. All options:
# docs/host-options.md of hyperhive.
{
  services.hyperhive = {
    enable = true;

    # Who may use `hive` on this machine, and with it approve anything.
    operators = [ "alice" ];

    # Outside the Nix store: everybody can read that.
    apiKeyFile = "/run/secrets/anthropic-api-key";

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

  # Of what is not free, the CLI that agents run.
  nixpkgs.config.allowUnfreePredicate = package: (package.pname or "") == "claude-code";

  users.users.alice = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
  };

  system.stateVersion = "26.05";
}
