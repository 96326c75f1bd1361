# As much of nixpkgs' eval-config.nix as an agent's system needs. `lib` is hyperhive's
# own subset, which checks/kits/nix/standin.py puts beside it.
{
  modules,
  system ? null,
  lib ? import ../../lib,
  ...
}:
lib.evalModules { modules = [ ../modules/system.nix ] ++ modules; }
