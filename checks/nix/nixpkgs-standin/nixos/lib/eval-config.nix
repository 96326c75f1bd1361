# As much of nixpkgs' eval-config.nix as an agent's system needs. `lib` is hyperhive's
# own subset, which checks/standin_kit.py puts beside it.
{
  modules,
  system ? null,
  lib ? import ../../lib,
  ...
}:
lib.evalModules { modules = [ ../modules/system.nix ] ++ modules; }
