"""The options of an agent in words: docs/options.md."""

import json
from collections.abc import Iterator
from typing import Final

from pyglue.text.option_path import WRITTEN
from tools.manifest_schema import Schema, not_null

WIDENS: Final = {
    "none": "no change of it widens",
    "behaviour": "changes behaviour only",
    "change": "any change widens",
    "add": "an added item widens",
    "enable": "turning it on widens",
    "raise": "a higher value widens",
    "dearer": "a dearer model widens",
    "env": "any variable added or changed widens",
    "entry": "a new entry widens",
    "inject": "a new or changed use widens",
    "expose": "each other way than before widens, and none at all narrows",
    "access": "`read` to `write` widens",
}


def options(schema: Schema, path: str = "hyperhive") -> Iterator[tuple[str, Schema]]:
    """Walk all options with their dotted paths, sorted, groups left out."""
    for name, sub in schema["properties"].items():
        here = f"{path}.{'.'.join(WRITTEN.get(name, (name,)))}"
        if "x-widens" in sub:
            yield here, sub
            entries = sub.get("additionalProperties", {})
            if isinstance(entries, dict) and "properties" in entries:
                yield from options(entries, f"{here}.<name>")
            if "properties" in sub.get("items", {}):
                yield from options(sub["items"], f"{here}.*")
        else:
            yield from options(sub, here)


def describe(schema: Schema) -> str:
    """Say in words which values a schema lets through."""
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return f"{describe(not_null(schema))}, or `null`"
    up_to = f"at most {schema.get('maxItems', schema.get('maxProperties'))}"
    match kinds:
        case "boolean":
            return "`true` or `false`"
        case "integer":
            return f"whole number from {schema['minimum']} to {schema['maximum']}"
        case "number":
            above, maximum = schema["exclusiveMinimum"], schema["maximum"]
            return f"number above {above}, at most {maximum}"
        case "string" if "enum" in schema:
            return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
        case "string":
            pattern = schema.get("pattern")
            matching = f" matching `{bare(pattern)}`" if pattern else ""
            return f"string{matching} (at most {schema['maxLength']} bytes)"
        case "array":
            return f"list of {up_to}, each: {describe(schema['items'])}"
        case "object" if "properties" in schema:
            return "a set with the options below"
        case "object" if "properties" in schema["additionalProperties"]:
            return f"{up_to} entries by name, with the options below"
        case "object":
            each = describe(schema["additionalProperties"])
            return f"{up_to} values by name, each: {each}"
    raise ValueError(f"no words for {schema}")


def bare(pattern: str) -> str:
    """Show a pattern of the schema without its anchors, as on one line."""
    inner = pattern.removeprefix("^(?:").removesuffix(r")$(?!\n)")
    return inner.replace("\n", r"\n").replace("\r", r"\r")


def widening(option: Schema) -> str:
    """Say in words which changes of an option widen."""
    kind = option["x-widens"]
    nullable = kind in {"add", "raise"} and "null" in option["type"]
    return WIDENS[kind] + (", and so does `null`" if nullable else "")


def nix_value(value: object) -> str:
    """Write a JSON value as a Nix expression on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            text = json.dumps(value, ensure_ascii=False).replace("${", "\\${")
            return text
        case list():
            return "[ " + "".join(f"{nix_value(item)} " for item in value) + "]"
        case dict():
            inside = "".join(f"{k} = {nix_value(v)}; " for k, v in value.items())
            return "{ " + inside + "}"
        case _:
            return json.dumps(value)


DOCS_HEAD: Final = """\
# Options of an agent

Generated from `modules/agent/options.nix` by `make generate`. Set them in the agent's
`agent.nix`; everything else there is ordinary NixOS configuration. *Widens* says which
changes are shown to the operator as giving the agent more power, in the order of their
*danger*.
"""


def render_docs(schema: Schema) -> str:
    """Render docs/options.md."""
    parts = [DOCS_HEAD]
    for path, option in options(schema):
        default = nix_value(option["default"]) if "default" in option else None
        lines = [
            f"## `{path}`\n",
            option["description"].strip() + "\n",
            f"- Type: {describe(option)}",
            f"- Default: `{default}`" if default else "- No default: must be set",
            f"- Example: `{nix_value(option['examples'][0])}`",
            f"- Widens: {widening(option)} (`{option['x-widens']}`)",
        ]
        if "x-danger" in option:
            lines.append(f"- Danger, where it widens: {option['x-danger']}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
