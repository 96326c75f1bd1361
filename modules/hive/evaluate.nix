# Run by pyglue/nix/system.py: ./system.nix with a constant clock, as plain data.
{
  nixpkgs,
  agent,
  manifest, # file with the validated manifest
  name,
  system,
  uid,
  manager,
  modules,
}@arguments:
let
  found = import ../eval/fixed.nix ./system.nix (
    arguments // { manifest = builtins.fromJSON (builtins.readFile manifest); }
  );
in
{
  system = found.toplevel.drvPath or null;
  inherit (found) nixosOptions manifestOptions;
}
