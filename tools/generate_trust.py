"""Generate docs/trust.md from pyglue.api's types and the table in pyglue.api.trust.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1 when
the file differs. A field of a call that hived answers to an agent, the manager or the
relay and that has no line in the table is an error, and so is a line without a field.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect as types

from pyglue.api import operator
from pyglue.api.common import HelloParams
from pyglue.api.trust import READ, TRUST
from tools.generate_rpc import SURFACES, named
from tools.generate_rpc import calls_of as calls

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "docs/trust.md"

HEAD: Final = """\
# Trust in each field

Generated from `pyglue/api/` and `pyglue/api/trust.py` by `make generate`.

An agent's container may send anything on its sockets; its harness is only a program in
it. This page lists every field of every call and notification that an agent, the
manager or the relay can send, and what hived decides by it. **Nothing that an agent
says enters a policy**: its permissions follow from its pinned record, the operator's
choices and hived's own books. Field names are those of the [RPC reference](rpc.md).
"""


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


def problems(table: Mapping[type[Any], Mapping[str, str]] = TRUST) -> list[str]:
    """Return what has no line, and each line that has nothing."""
    every = [struct for _, struct in structs()]
    missing = [
        f"{struct.__name__}.{name} has no line in pyglue/api/trust.py: who trusts it?"
        for struct in every
        for name in fields(struct)
        if not table.get(struct, {}).get(name)
    ]
    spare = [
        f"pyglue/api/trust.py has {struct.__name__}.{name}, which is no field."
        for struct, lines in table.items()
        for name in lines
        if struct not in every or name not in fields(struct)
    ]
    return missing + spare


def render() -> str:
    """Render the page."""
    parts = [HEAD]
    for names, struct in structs():
        if not fields(struct):
            continue
        rows = [f"| `{name}` | {TRUST[struct][name]} |" for name in fields(struct)]
        parts.append(
            "\n".join([f"## {names}\n", "| field | trusted |", "|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` name it if it differs."""
    wrong = problems()
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
