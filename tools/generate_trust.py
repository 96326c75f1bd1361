"""Generate docs/trust.md from pyglue.api's types and what their ``TRUST`` says.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1 when
the file differs. A field of a call that hived answers to an agent, the manager or the
relay and that has no line there is an error, and so is a line without a field.
"""

import pkgutil
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect as types

import pyglue.api
from pyglue.api import operator, turn_events
from pyglue.api.common import HelloParams
from tools.rpc_calls import SURFACES
from tools.rpc_calls import calls_of as calls
from tools.type_words import named

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "docs/trust.md"

HEAD: Final = """\
# Trust in each field

Generated from `pyglue/api/` by `make generate`.

An agent's container may send anything on its sockets; its harness is only a program in
it. This page lists every field of every call and notification that an agent, the
manager or the relay can send, and what hived decides by it. **Nothing that an agent
says enters a policy**: its permissions follow from its pinned record, the operator's
choices and hived's own books. Field names are those of the [RPC reference](rpc.md).
"""

READ: Final[dict[str, tuple[type[Any], ...]]] = {
    "turn_event": (
        turn_events.ToolName,
        turn_events.ToolCall,
        turn_events.ToolDone,
        turn_events.Server,
    ),
}
"""What hived reads from a field that it otherwise passes on unchanged, by call."""


def table() -> dict[type[Any], dict[str, str]]:
    """Return what each struct of the API says of its fields."""
    modules = [
        import_module(f"pyglue.api.{module.name}")
        for module in pkgutil.iter_modules(pyglue.api.__path__)
    ]
    return {
        struct: vars(struct)["TRUST"]
        for module in modules
        for struct in vars(module).values()
        if isinstance(struct, type) and "TRUST" in vars(struct)
    }


def structs() -> Iterator[tuple[str, type[Any]]]:
    """Yield each struct that comes to hived, with the calls that carry it."""
    found: dict[type[Any], list[str]] = {HelloParams: ["hello"]}
    for surface in SURFACES:
        if surface.module is operator:
            continue
        for _, call, _ in calls(surface):
            if call not in surface.down:
                found.setdefault(call.params, []).append(call.name)
    for outer, names in list(found.items()):
        for inner in named(types.type_info(outer)):
            if issubclass(inner, msgspec.Struct):
                known = found.setdefault(inner, [])
                known += [name for name in names if name not in known]
    for name, read in READ.items():
        for struct in read:
            found.setdefault(struct, []).append(f"{name}.data")
    for struct, names in found.items():
        yield ", ".join(f"`{name}`" for name in names), struct


def fields(struct: type[Any]) -> tuple[str, ...]:
    """Return a struct's fields as they are called on the wire."""
    shape = types.type_info(struct)
    assert isinstance(shape, types.StructType)
    return tuple(field.encode_name for field in shape.fields)


@cache
def _every() -> tuple[type[Any], ...]:
    return tuple(struct for _, struct in structs())


def problems(said: Mapping[type[Any], Mapping[str, str]]) -> list[str]:
    """Return what has no line, and each line that has nothing."""
    every = _every()
    missing = [
        f"{struct.__name__}.{name} has no line in its TRUST: who trusts it?"
        for struct in every
        for name in fields(struct)
        if not said.get(struct, {}).get(name)
    ]
    spare = [
        f"TRUST has {struct.__name__}.{name}, which is no field that hived gets."
        for struct, lines in said.items()
        for name in lines
        if struct not in every or name not in fields(struct)
    ]
    return missing + spare


def render() -> str:
    """Render the page."""
    parts, said = [HEAD], table()
    for names, struct in structs():
        if not fields(struct):
            continue
        rows = [f"| `{name}` | {said[struct][name]} |" for name in fields(struct)]
        parts.append(
            "\n".join([f"## {names}\n", "| field | trusted |", "|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` name it if it differs."""
    wrong = problems(table())
    for problem in wrong:
        print(problem)
    if wrong:
        return 1
    text = render()
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    shown = TARGET.relative_to(ROOT)
    if arguments == ["--check"]:
        print(f"{shown} is out of date: run `make generate`.")
        return 1
    TARGET.write_text(text)
    print(f"wrote {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
