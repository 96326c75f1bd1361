# What pyglue/nix/evaluator.py runs: ./report.nix, on no particular day.
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
