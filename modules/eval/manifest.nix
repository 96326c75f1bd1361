# The manifest of an agent's directory: `hyperhive.*` as plain JSON.
{
  agent,
  lib ? import ./lite.nix,
}:
(import ./report.nix { inherit agent lib; }).manifest
