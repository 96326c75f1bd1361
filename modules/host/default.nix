# services.hyperhive: a hive on a NixOS host. All of it becomes ONE JSON file that the
# three daemons read (config-file.nix), their units, users and the network of agents
# that may have one. docs/host-options.md is generated from the options here.
{
  imports = [
    ./options.nix
    ./dashboard.nix
    ./accounts.nix
    ./agents.nix
    ./limits.nix
    ./models.nix
    ./quotas.nix
    ./config-file.nix
    ./checks.nix
    ./users.nix
    ./state.nix
    ./hived.nix
    ./web.nix
    ./relay.nix
    ./notify.nix
    ./egress.nix
    ./network.nix
  ];
}
