"""Generate docs/rpc.md from the types of pyglue.api and from pyglue.errors.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1
when the file differs. Names, fields, limits and texts are read from the structs that
both ends of every socket use; only who may call what is written here, and the tests
hold that against hived's own handlers.
"""

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec
from msgspec import inspect as types

from pyglue.api import (
    agent,
    common,
    egress,
    handover,
    manager,
    operator,
    relay,
    terminal,
)
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Method, Note, Role
from pyglue.api.messages import SendParams, SendResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.wire import (
    call_line,
    error_line,
    note_line,
    result_line,
)
from pyglue.limits import AGENT_RPC, OPERATOR_RPC

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "docs/rpc.md"

Call = Method[Any, Any] | Note[Any]


@dataclass(frozen=True)
class Surface:
    """What one role's sockets offer, and what hived says down them.

    ``shared`` are calls of modules that several roles share.
    """

    title: str
    socket: str
    module: ModuleType
    shared: tuple[tuple[ModuleType, tuple[Call, ...]], ...] = ()
    also: tuple[Method[Any, Any], ...] = ()
    down: tuple[Call, ...] = ()
    limited: tuple[tuple[tuple[Call, ...], str], ...] = ()


TERMINAL_DOWN: Final = (
    terminal.TERMINAL_START,
    terminal.TERMINAL_INPUT,
    terminal.TERMINAL_RESIZE,
    terminal.TERMINAL_STOP,
)
TERMINAL_UP: Final = (terminal.TERMINAL_OUTPUT, terminal.TERMINAL_EXIT)
TERMINAL_VIEW: Final = (
    terminal.TERMINAL_OPEN,
    terminal.TERMINAL_ATTACH,
    terminal.TERMINAL_INPUT,
    terminal.TERMINAL_RESIZE,
    terminal.TERMINAL_ACK,
    terminal.TERMINAL_CLOSE,
    terminal.TERMINAL_DATA,
    terminal.TERMINAL_ENDED,
)
HARNESS: Final = (
    agent.TURN_START,
    agent.TURN_END,
    agent.STATE,
    agent.TURN_EVENT,
    agent.LIVE_TEXT,
    agent.WARMTH,
)
SURFACES: Final = (
    Surface(
        "Every agent",
        "`hive.sock` in the agent's own directory; it is the agent's identity.",
        agent,
        shared=((terminal, TERMINAL_DOWN + TERMINAL_UP),),
        down=(
            agent.CANCEL_TURN,
            agent.CONTROL,
            agent.COMPACT_SESSION,
            agent.BEGIN_SESSION,
            agent.COOL,
            agent.NEWS,
            agent.WATCHED,
            *TERMINAL_DOWN,
        ),
        limited=(
            (
                HARNESS + TERMINAL_UP,
                "Only on a connection whose `hello` carried `harness`.",
            ),
        ),
    ),
    Surface(
        "The manager",
        "The manager's own `hive.sock`. All that every agent may call, and:",
        manager,
    ),
    Surface(
        "The operator",
        "`operator.sock`: the dashboard and the `hive` command.",
        operator,
        also=(manager.START, manager.STOP, manager.RESTART, manager.REBUILD),
        shared=((terminal, TERMINAL_VIEW),),
        down=(
            operator.EVENT,
            operator.GAP,
            operator.JOURNAL_NEWS,
            operator.LIVE_TEXT,
            terminal.TERMINAL_DATA,
            terminal.TERMINAL_ENDED,
        ),
        limited=(
            ((operator.LOGIN,), "Only for hive-web; the one call without a session."),
            ((operator.LOGIN_CODE,), "Not for hive-web: a session makes no other."),
        ),
    ),
    Surface(
        "The relay",
        "`relay.sock`; descriptors travel over `relay-fds.sock` beside it.",
        relay,
        shared=((handover, (handover.DETACH,)),),
        down=(relay.POLICY, handover.DETACH),
    ),
    Surface(
        "hive-egress",
        "`egress.sock`; descriptors travel over `egress-fds.sock` beside it.",
        egress,
        shared=((handover, (handover.DETACH,)),),
        down=(egress.POLICY, handover.DETACH),
    ),
)


def calls(module: ModuleType) -> Iterator[tuple[str, Call]]:
    """Yield the constants of a module that are methods or notes made there."""
    for name in definitions(module):
        value = getattr(module, name)
        if isinstance(value, Method | Note):
            yield name, value


def calls_of(surface: Surface) -> Iterator[tuple[str, Call, str]]:
    """Yield constant, call and docstring of all that a role's sockets carry."""
    for name, call in calls(surface.module):
        yield name, call, definitions(surface.module)[name]
    for module, picked in surface.shared:
        for name, call in calls(module):
            if call in picked:
                yield name, call, definitions(module)[name]


@functools.cache
def definitions(module: ModuleType) -> dict[str, str]:
    """Return each assigned name of a module, with the docstring below it if any."""
    body = ast.parse(inspect.getsource(module)).body
    found = {}
    for at, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            after = body[at + 1] if at + 1 < len(body) else None
            said = after.value if isinstance(after, ast.Expr) else None
            text = said.value if isinstance(said, ast.Constant) else ""
            found[node.target.id] = str(text)
    return found


# --- types in words -------------------------------------------------------------


def describe(kind: types.Type) -> str:
    """Say which JSON values a type lets through."""
    match kind:
        case types.Metadata():
            return describe(kind.type)
        case types.UnionType():
            inner = [one for one in kind.types if not isinstance(one, types.NoneType)]
            return f"{', or '.join(map(describe, inner))}, or `null`"
        case types.StructType() | types.EnumType():
            name = kind.cls.__name__
            return f"[{name}](#{name.lower()}-type)"
        case types.VarTupleType():
            most = "" if kind.max_length is None else f" of at most {kind.max_length}"
            return f"list{most}, each: {describe(kind.item_type)}"
        case types.DictType():
            return "object"
        case types.AnyType() | types.RawType():
            return "any JSON value"
        case types.BoolType():
            return "boolean"
        case types.IntType() | types.FloatType():
            word = "integer" if isinstance(kind, types.IntType) else "number"
            return word + between(kind.ge, kind.le, "")
        case types.StrType():
            return "string" + between(kind.min_length, kind.max_length, " characters")
        case types.BytesType():
            return "base64 string" + between(None, kind.max_length, " bytes decoded")
    raise TypeError(f"no words for {kind}")


def between(low: float | None, high: float | None, unit: str) -> str:
    """Say bounds in words."""
    match low, high:
        case None, None:
            return ""
        case None, _:
            return f" of at most {high}{unit}" if unit else f", at most {high}"
        case _, None:
            return f" of at least {low}{unit}" if unit else f", at least {low}"
    return f" of {low} to {high}{unit}" if unit else f" from {low} to {high}"


def named(kind: types.Type) -> Iterator[type[Any]]:
    """Yield the structs and enums that a type is made of, outer ones first."""
    match kind:
        case types.Metadata():
            yield from named(kind.type)
        case types.StructType():
            yield kind.cls
            for field in kind.fields:
                yield from named(field.type)
        case types.EnumType():
            yield kind.cls
        case types.UnionType():
            for one in kind.types:
                yield from named(one)
        case types.VarTupleType():
            yield from named(kind.item_type)


def meaning(kind: types.Type) -> str:
    """Return what the field's own ``Meta(description=…)`` says, if it has one."""
    match kind:
        case types.Metadata():
            return str((kind.extra_json_schema or {}).get("description", ""))
        case types.UnionType():
            return next(filter(None, map(meaning, kind.types)), "")
    return ""


def paragraphs(text: str | None) -> str:
    """Write a docstring as Markdown: dedented, with single backticks."""
    return inspect.cleandoc(text or "").replace("``", "`")


def fields(struct: type[Any]) -> list[str]:
    """Return a Markdown table of a struct's fields; empty if it has none."""
    shape = types.type_info(struct)
    if not isinstance(shape, types.StructType):
        raise TypeError(f"{struct} is no struct")
    if not shape.fields:
        return []
    told = any(meaning(field.type) for field in shape.fields)
    rows = ["| field | type | default |", "|---|---|---|"]
    if told:
        rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for field in shape.fields:
        default = "required"
        if not field.required:
            default = f"`{msgspec.json.encode(field.default).decode()}`"
        row = f"| `{field.encode_name}` | {describe(field.type)} | {default} |"
        rows.append(f"{row} {meaning(field.type)} |" if told else row)
    return ["\n".join(rows)]


# --- pages ----------------------------------------------------------------------


def render_call(surface: Surface, call: Call, said: str) -> str:
    """Render one method or note."""
    kind = "Call" if isinstance(call, Method) else "Notification"
    way = "hived to the client" if call in surface.down else "client to hived"
    parts = [f"### `{call.name}`", f"{kind}, {way}."]
    parts += [text for some, text in surface.limited if call in some]
    parts += [paragraphs(said)] if said else []
    parts += [paragraphs(call.params.__doc__), *fields(call.params)]
    if isinstance(call, Method):
        parts += [f"Answer: {paragraphs(call.result.__doc__)}", *fields(call.result)]
    return "\n\n".join(parts)


def render_surface(surface: Surface) -> str:
    """Render all of a role's calls."""
    parts = [f"## {surface.title}", surface.socket]
    for _, call, said in calls_of(surface):
        parts.append(render_call(surface, call, said))
    if surface.also:
        names = ", ".join(f"`{call.name}`" for call in surface.also)
        parts.append(f"And as [the manager](#the-manager) has them: {names}.")
    return "\n\n".join(parts)


def render_types() -> str:
    """Render the structs and enums inside params and results."""
    outer: dict[type[Any], None] = {}
    inner: dict[type[Any], None] = {}
    ends: list[type[Any]] = [HelloParams, HelloResult]
    for surface in SURFACES:
        for _, call, _ in calls_of(surface):
            ends.append(call.params)
            ends += [call.result] if isinstance(call, Method) else []
    for end in ends:
        outer[end] = None
        inner |= dict.fromkeys(list(named(types.type_info(end)))[1:])
    parts = ["## Types"]
    for found in sorted(inner.keys(), key=lambda one: one.__name__):
        parts += [f"### {found.__name__} (type)", paragraphs(found.__doc__)]
        if issubclass(found, msgspec.Struct):
            parts += fields(found)
        else:
            values = ", ".join(f"`{one.value}`" for one in found)
            parts.append(f"One of: {values}.")
    return "\n\n".join(parts)


def render_errors() -> str:
    """Render the error codes, under the comments that group them."""
    groups: list[tuple[str, list[str]]] = [("anything", [])]
    for line in inspect.getsource(ErrorCode).splitlines():
        text = line.strip()
        if text.startswith("# "):
            groups.append((text[2:], []))
        elif " = " in text:
            groups[-1][1].append(ErrorCode[text.split(" = ")[0]].value)
    rows = ["| about | codes |", "|---|---|"]
    for about, codes in groups:
        rows.append(f"| {about} | {', '.join(f'`{code}`' for code in codes)} |")
    return "\n".join(rows)


def example() -> str:
    """Return real lines of a short conversation on an agent's socket."""
    hello = HelloParams(protocol=PROTOCOL, client="example")
    welcome = HelloResult(
        protocol=PROTOCOL, role=Role.AGENT, server="hived 0.1.0", agent="alice"
    )
    send = SendParams(to="operator", body="Done.")
    refused = HiveError(
        ErrorCode.RECIPIENT_NOT_ALLOWED,
        "You may not send to bob. You may send to: manager.",
    )
    lines = (
        (">", call_line(1, common.HELLO.name, hello)),
        ("<", result_line(1, welcome)),
        (">", call_line(2, agent.SEND.name, send)),
        ("<", result_line(2, SendResult(id=7, hop=1))),
        (">", call_line(3, agent.SEND.name, SendParams(to="bob", body="Hi"))),
        ("<", error_line(3, refused)),
        (">", note_line(common.CANCEL.name, common.CancelParams(id=4))),
    )
    return "".join(f"{way} {line.decode()}" for way, line in lines)


HEAD: Final = """\
# RPC reference

Generated from `pyglue/api/` and `pyglue/errors.py` by `make generate`.

hived listens on Unix sockets and speaks JSON-RPC 2.0, one object a line. **The socket
is the identity**: whatever arrives on an agent's socket comes from that agent, and no
method of the operator exists on any other socket. Both ends use the same frozen
structs; an unknown field of a call is an error, an unknown field of an answer is
ignored. Times are seconds since the epoch (UTC) and end in `_at`; amounts are US
dollars and end in `_usd`.

- The first call is `hello` with protocol {protocol}; anything else, or another
  protocol, is refused.
- Requests on one connection run concurrently and are answered in any order, at most
  {outstanding} at a time. `$/cancel` cancels one; closing the connection cancels all.
- A line has at most {agent_line} bytes on an agent's socket and {line} on the others.
- An agent's socket accepts {connections} connections, {hello} s for each hello and
  {outstanding_all} concurrent requests over all of them. hived pauses reading from a
  client that leaves {write_high} bytes of answers unread or uses up its share, and
  disconnects one that uses too much memory (`pyglue/limits.py`).
- Both sides may call: calls and notifications by hived are marked *hived to the
  client*.

```
{example}```

A refusal has a sentence for people in `message` and a stable code in `data.code`:
branch on the code, never on the text. `error.code` is -32602 for `bad_request`, -32601
for `unknown_method`, -32603 for `internal` and -32000 for every other.

{errors}

## On every socket
"""


def render() -> str:
    """Render docs/rpc.md."""
    head = HEAD.format(
        protocol=PROTOCOL,
        outstanding=AGENT_RPC.outstanding,
        outstanding_all=AGENT_RPC.outstanding_all,
        connections=AGENT_RPC.connections,
        hello=int(AGENT_RPC.hello_s),
        write_high=AGENT_RPC.write_high,
        agent_line=AGENT_RPC.line,
        line=OPERATOR_RPC.line,
        example=example(),
        errors=render_errors(),
    )
    everywhere = Surface("", "", common)
    parts = [
        head.rstrip("\n"),
        *(render_call(everywhere, call, "") for _, call in calls(common)),
        *map(render_surface, SURFACES),
        render_types(),
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` name it if it differs."""
    text = render()
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    shown = TARGET.relative_to(ROOT)
    if arguments == ["--check"]:
        print(f"{shown} is out of date: run `make generate`.")
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text)
    print(f"wrote {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
