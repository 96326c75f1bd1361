"""Generate everything that repeats the options of modules/agent/options.nix.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1
when a file differs. From the one schema that Nix gives come:

- modules/agent/schema.json: the JSON Schema that manifests are validated with,
- pyglue/manifest/types.py: frozen Structs, so that Python names no option itself,
- docs/options.md: the option reference.

Needs `nix-instantiate` only, no nixpkgs and no network; the output depends on
nothing but the options.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pyglue.text.option_path import WRITTEN

ROOT: Final = Path(__file__).resolve().parent.parent
Schema = dict[str, Any]

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


def snake(name: str) -> str:
    """Spell a camelCase option name the way Python attributes are."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def not_null(schema: Schema) -> Schema:
    """Return the schema of the values beside null."""
    kind = next(k for k in schema["type"] if k != "null")
    inner = {**schema, "type": kind}
    if "enum" in schema:
        inner["enum"] = [value for value in schema["enum"] if value is not None]
    return inner


def type_name(option: str, *, entry: bool) -> str:
    """Name the Struct of a group, or of one entry of a set of groups."""
    name = option[0].upper() + option[1:]
    return name.removesuffix("s") if entry and not name.endswith("ss") else name


class Structs:
    """Collects the Python types of a schema, innermost first."""

    def __init__(self) -> None:
        self.aliases: list[str] = []
        self.classes: list[str] = []

    def python_type(self, option: str, schema: Schema) -> str:
        """Return the annotation for one option, adding the types it needs."""
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return f"{self.python_type(option, not_null(schema))} | None"
        match kinds:
            case "boolean":
                return "bool"
            case "integer":
                return "int"
            case "number":
                return "float"
            case "string" if "enum" in schema:
                return self.add_choice(option, schema["enum"])
            case "string":
                return "str"
            case "array":
                return f"tuple[{self.python_type(option, schema['items'])}, ...]"
            case "object" if "properties" in schema:
                return self.add_struct(type_name(option, entry=False), schema)
            case "object":
                each = schema["additionalProperties"]
                if "properties" in each:
                    value = self.add_struct(type_name(option, entry=True), each)
                else:
                    value = self.python_type(option, each)
                return f"dict[str, {value}]"
        raise ValueError(f"{option}: no Python type for {schema}")

    def add_choice(self, option: str, values: list[str]) -> str:
        name = type_name(option, entry=True)
        members = ", ".join(f'"{value}"' for value in values)
        self.aliases.append(f"{name}: TypeAlias = Literal[{members}]\n")
        return name

    def add_struct(self, name: str, schema: Schema) -> str:
        fields = [
            f"    {snake(option)}: {self.python_type(option, sub)}{default(sub)}"
            for option, sub in schema["properties"].items()
        ]
        keywords = 'msgspec.Struct, frozen=True, kw_only=True, rename="camel"'
        doc = "What one agent is." if name == "Manifest" else f"`{name}` of a manifest."
        self.classes.append(
            f'class {name}({keywords}):\n    """{doc}"""\n\n' + "\n".join(fields) + "\n"
        )
        return name


def default(schema: Schema) -> str:
    """Return the assignment of a default; what has none is required."""
    if "default" not in schema:
        return ""
    value = schema["default"]
    if value == {}:
        return " = msgspec.field(default_factory=dict)"
    if isinstance(value, str):
        return f" = {json.dumps(value)}"
    return f" = {tuple(value) if isinstance(value, list) else value!r}"


PYTHON_HEAD: Final = '''\
"""The manifest of an agent as types. Generated by `make generate`: do not edit.

The one source is modules/agent/options.nix. JSON names are the option names;
attributes are the same in snake_case. Nix fills in the defaults; those here are for
records that an older hive made, before an option was there. That a new manifest is
whole, and its bounds, are checked with modules/agent/schema.json.
"""

from typing import Literal, TypeAlias

import msgspec

'''


def render_types(schema: Schema) -> str:
    """Render pyglue/manifest/types.py."""
    structs = Structs()
    structs.add_struct("Manifest", schema)
    return "\n\n".join([PYTHON_HEAD + "".join(structs.aliases), *structs.classes])


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


def generate() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    schema = read_schema()
    return {
        ROOT / "modules/agent/schema.json": json.dumps(schema, indent=2) + "\n",
        ROOT / "pyglue/manifest/types.py": render_types(schema),
        ROOT / "docs/options.md": render_docs(schema),
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` name the ones that differ."""
    stale = [
        (path, text)
        for path, text in generate().items()
        if not path.exists() or path.read_text() != text
    ]
    if arguments == ["--check"]:
        for path, _ in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run `make generate`.")
        return 1 if stale else 0
    for path, text in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
