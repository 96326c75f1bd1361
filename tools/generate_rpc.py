"""Generate docs/rpc.md from the types of pyglue.api and from pyglue.errors.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1
when the file differs. Names, fields, limits and texts are read from the structs that
both ends of every socket use; only who may call what is written here, and the tests
hold that against hived's own handlers.
"""

import inspect
import sys
from pathlib import Path
from typing import Any, Final

from pyglue.api import (
    agent,
    common,
)
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Method, Role
from pyglue.api.messages import SendParams, SendResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.wire import (
    call_line,
    error_line,
    note_line,
    result_line,
)
from pyglue.limits import AGENT_RPC, OPERATOR_RPC
from tools.rpc_calls import SURFACES, Call, Surface, calls, calls_of
from tools.type_words import described, fields, inside, paragraphs

ROOT: Final = Path(__file__).resolve().parent.parent


TARGET: Final = ROOT / "docs/rpc.md"


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
        inner |= dict.fromkeys(inside(end))
    return "\n\n".join(["## Types", *described(inner)])


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
