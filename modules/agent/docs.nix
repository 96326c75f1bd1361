# The JSON Schema of the manifest, for tools/manifest_schema.py.
(import ./options.nix { lib = import ../eval/lite.nix; }).options.hyperhive.schema
