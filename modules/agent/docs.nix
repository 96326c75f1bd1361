# The JSON Schema of the manifest, for checks/generate_manifest.py.
(import ./options.nix { lib = import ../eval/lite.nix; }).options.hyperhive.schema
