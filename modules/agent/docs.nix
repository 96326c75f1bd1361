# The JSON Schema of the manifest, for tools/generate_manifest.py.
(import ./options.nix { lib = import ../eval/lite.nix; }).options.hyperhive.schema
