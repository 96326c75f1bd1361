"""Write docs/events.md and web/static/events.js from the structs of events.

``python -m tools.generate_events`` writes them, ``--check`` names those that differ.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from pyglue.api.events import KINDS  # noqa: E402 - found from a checkout too
from pyglue.api.turn_events import LIVE_EVENTS, TurnEventKind  # noqa: E402
from tools.type_words import described, fields, inside, paragraphs  # noqa: E402

PAGE: Final = "docs/events.md"
SCRIPT: Final = "web/static/events.js"

HEAD: Final = """\
# Events

Generated from `pyglue/api/events.py` and `pyglue/api/turn_events.py` by
`make generate`.

`/api/events` of the dashboard and `subscribe` of the [RPC](rpc.md) stream what happens
in the hive. Each event has `seq`, `at`, `kind`, `agent` and `data`; this page lists
what `data` holds for each kind. Fields that equal their default are left out. Ignore
kinds, fields and values that you do not know: another version of hived may have more.
"""

TURNS: Final = """\
## Inside a turn

The `data.data` of `turn.event`, by `data.kind`. A harness runs in the agent's
container: **all of it is the agent's word** ([trust](trust.md)). hived stores it and
passes it on without decoding it, as long as it is an object in UTF-8, of at most
128 KiB, without line breaks between its values and not nested too deeply. It may be of
a kind that is not listed here, or of another shape: show it as text.
"""

SCRIPT_HEAD: Final = """\
// Generated from pyglue/api/events.py and pyglue/api/turn_events.py by
// `make generate`: the kinds of events, and of what happens inside a turn.
"""


def page() -> str:
    """Render the page."""
    parts = [HEAD.rstrip("\n")]
    for kind, struct in KINDS.items():
        parts += _section("##", kind, struct)
    parts.append(TURNS.rstrip("\n"))
    for said, inner in LIVE_EVENTS.items():
        parts += _section("###", said.value, inner)
    structs = (*KINDS.values(), *LIVE_EVENTS.values())
    used = {one for struct in structs for one in inside(struct)}
    parts += ["## Types", *described(used)]
    return "\n\n".join(parts) + "\n"


def _section(level: str, name: str, struct: type[Any]) -> Iterator[str]:
    yield f"{level} `{name}`"
    yield paragraphs(struct.__doc__)
    yield from fields(struct)


def script() -> str:
    """Render the module."""
    events = {_constant(kind): kind for kind in KINDS}
    in_turns = {_constant(kind): kind.value for kind in TurnEventKind}
    objects = (("EVENT", events), ("IN_TURN", in_turns))
    return SCRIPT_HEAD + "".join(_object(*one) for one in objects)


def _constant(kind: str) -> str:
    return kind.replace(".", "_").upper()


def _object(name: str, values: dict[str, str]) -> str:
    lines = "".join(f'  {key}: "{value}",\n' for key, value in values.items())
    return f"\nexport const {name} = Object.freeze({{\n{lines}}});\n"


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` name those that differ."""
    status = 0
    for name, text in ((PAGE, page()), (SCRIPT, script())):
        target = ROOT / name
        if target.exists() and target.read_text() == text:
            continue
        if arguments == ["--check"]:
            print(f"{name} is out of date: run `make generate`.")
            status = 1
            continue
        target.write_text(text)
        print(f"wrote {name}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
