# The independent reference of the recorder: options and agent.nix side by side in
# one evalModules, as NixOS would do it, with everything else let through.
{ agent, lib }:
let
  evaluated = lib.evalModules {
    specialArgs.pkgs = throw "pkgs";
    modules = [
      ../../modules/agent/options.nix
      { freeformType = lib.types.lazyAttrsOf lib.types.raw; }
      (agent + "/agent.nix")
    ];
  };
  # As the manifest has it, by ../../modules/eval/report.nix.
  flat =
    found:
    found
    // {
      network = found.network == true;
      hosts = found.network.allow or [ ];
    };
in
{
  hyperhive = flat evaluated.config.hyperhive;
}
