"""The one schema of manifests, as Nix gives it from modules/agent/options.nix."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent


Schema = dict[str, Any]


def read_schema() -> Schema:
    """Evaluate the options to the schema of a manifest; raises on a Nix error."""
    done = subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--json"),
            *("--store", "dummy://", str(ROOT / "modules/agent/docs.nix")),
        ],
        check=True,
        stdout=subprocess.PIPE,
    )
    schema: Schema = json.loads(done.stdout)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:hyperhive:manifest",
        "title": "Manifest of an agent",
        "$comment": "Generated from modules/agent/options.nix by `make generate`.",
        **schema,
    }


def not_null(schema: Schema) -> Schema:
    """Return the schema of the values beside null."""
    kind = next(k for k in schema["type"] if k != "null")
    inner = {**schema, "type": kind}
    if "enum" in schema:
        inner["enum"] = [value for value in schema["enum"] if value is not None]
    return inner
