# Run by pyglue/nix/evaluator.py: ./report.nix with a constant clock.
{
  agent, # string with an absolute path
  lib ? null, # the same, of nixpkgs' lib; null: the built-in subset
}:
let
  load = import ./fixed.nix;
in
load ./report.nix (
  { inherit agent; } // (if lib == null then { } else { lib = load (/. + lib); })
)
