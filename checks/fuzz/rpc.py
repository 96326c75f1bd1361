"""Every method of every role with frames that no client sends.

Params are drawn from the API's own types and then spoiled: wrong types, deep nesting,
huge numbers and texts, unknown fields; frames are cut, joined, repeated and made of
bytes that are no JSON. After each the same hive must answer, and nothing may have
failed inside.
"""

import functools
import json
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as types

from checks.fuzz.kit import Case, Trial
from checks.fuzz.sockets import call, code_of, hello, wire
from pyglue.api import agent, egress, manager, operator, relay, terminal
from pyglue.api.common import HELLO, Method, Note, Params
from pyglue.limits import AGENT_RPC

LAST: Final = 2**40
"""The id of the call that asks whether anybody is still there."""
_NAMES: Final = ("alice", "zed", "", "..", "a/b", "manager\0", "x" * 65, "\u202e")

Drawn = st.SearchStrategy[Any]
Call = Method[Any, Any] | Note[Any]


def calls(*modules: Any) -> tuple[Call, ...]:
    """Return every method and notification that the modules name."""
    found = {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, (Method, Note))
    }
    return tuple(found[name] for name in sorted(found))


AGENT: Final = calls(agent, terminal)
MANAGER: Final = calls(agent, manager, terminal)
OPERATOR: Final = calls(operator, terminal)
RELAY: Final = calls(relay)
EGRESS: Final = calls(egress)

_HOSTILE: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**53, 2**63, -(2**63), 2**64, 10**400, -1, 0]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["\0", "\ud800", "x" * 70_000, "../../etc", "$(id)", "'; --"]),
    st.builds(list),
    st.builds(dict),
    st.integers(1, 2000).map(lambda depth: _nested(depth)),
)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(min(depth, 400)):
        value = [value]
    return value


def of_type(kind: types.Type) -> Drawn:
    """Return a strategy of values that a type of msgspec would take, roughly."""
    match kind:
        case types.UnionType(types=several):
            return st.one_of(*(of_type(one) for one in several))
        case types.StructType(cls=cls):
            return of_struct(cls)
        case types.EnumType(cls=cls):
            return st.sampled_from([one.value for one in cls])
        case types.IntType(ge=low, le=high):
            return st.integers(low or 0, high or 2**53)
        case types.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case types.BoolType():
            return st.booleans()
        case types.NoneType():
            return st.none()
        case types.CollectionType(item_type=item) | types.VarTupleType(item_type=item):
            return st.lists(of_type(item), max_size=3)
        case types.DictType(key_type=key, value_type=value):
            return st.dictionaries(of_type(key), of_type(value), max_size=3)
        case types.StrType(max_length=most):
            text = st.text(max_size=min(most or 40, 40))
            return st.one_of(text, st.sampled_from(_NAMES))
        case types.BytesType():
            return st.sampled_from(["", "AAAA", "not base64 \0"])
        case _:
            return _HOSTILE


@functools.cache
def of_struct(cls: type[Any]) -> Drawn:
    """Return a strategy of the JSON of a struct."""
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, types.StructType)
    needed = {f.encode_name: of_type(f.type) for f in info.fields if f.required}
    others = {f.encode_name: of_type(f.type) for f in info.fields if not f.required}
    return st.fixed_dictionaries(needed, optional=others)


def spoiled(params: type[Params]) -> Drawn:
    """Return a strategy of params in which something is wrong."""
    names = [field.name for field in msgspec.structs.fields(params)]
    places = st.sampled_from([*names, "unknown", "_type", "__class__", ""])
    changed = st.builds(
        lambda good, place, value: {**good, place: value},
        of_struct(params),
        places,
        _HOSTILE,
    )
    return st.one_of(changed, _HOSTILE)


def frame(known: tuple[Call, ...], *, harmful: bool) -> Drawn:
    """Return a strategy of bytes for the wire.

    Without ``harmful`` params are never right: the operator may do everything, so
    only what is refused can be tried on it.
    """
    names = st.sampled_from(known)

    def lines(one: Call) -> Drawn:
        params = spoiled(one.params)
        if harmful:
            params = st.one_of(of_struct(one.params), params)  # type: ignore[arg-type]
        else:
            params = params.map(
                lambda p: {**p, "no such field": 1} if isinstance(p, dict) else [p]
            )
        return st.builds(
            _line, st.just(one.name), params, st.sampled_from(_IDS), _damage
        )

    made = {one.name: lines(one) for one in known}
    return names.flatmap(lambda one: made[one.name])


_IDS: Final[tuple[Any, ...]] = (1, 2, 2**53, 0, -1, "1", 1.5, True, [], {}, 2**70, None)
_damage: Final = st.one_of(
    st.just(("none", 0)),
    st.just(("none", 0)),
    st.tuples(
        st.sampled_from(
            ["cut", "twice", "batch", "bytes", "blank", "deep", "crlf", "keys", "nul"]
        ),
        st.integers(0, 10_000),
    ),
)


def _line(name: str, params: Any, number: Any, damage: tuple[str, int]) -> bytes:
    body = {"jsonrpc": "2.0", "id": number, "method": name, "params": params}
    raw = json.dumps(body).encode()
    kind, place = damage
    at = place % (len(raw) + 1)
    match kind:
        case "cut":
            return raw[:at] + b"\n"
        case "twice":
            return raw + b"\n" + raw + b"\n"
        case "batch":
            return b"[" + raw + b"]\n"
        case "bytes":
            return raw[:at] + b"\xff\xfe\x80" + raw[at:] + b"\n"
        case "blank":
            return b"\n" * (at % 50) + raw + b"\n"
        case "deep":
            return b'{"id":1,"method":"x","params":' + b"[" * place + b"\n"
        case "crlf":
            return raw + b"\r\n"
        case "keys":
            return raw[:-1] + b',"method":"hello","id":7}\n'
        case "nul":
            return raw[:at] + b"\0" + raw[at:] + b"\n"
        case _:
            return raw + b"\n"


async def attack(trial: Trial) -> None:
    """Send drawn frames to the sockets of an agent, the manager and the operator."""
    hive = await trial.lab.hive()
    layout = hive.local.config.layout
    places = {
        "agent": (layout.run("alice") / "hive.sock", frame(AGENT, harmful=True)),
        "manager": (layout.run("alice") / "hive.sock", frame(MANAGER, harmful=True)),
        "as manager": (
            layout.run("manager") / "hive.sock",
            frame(MANAGER, harmful=False),
        ),
        "operator": (layout.operator_socket, frame(OPERATOR, harmful=False)),
        "relay": (layout.relay_socket, frame(RELAY, harmful=False)),
        "egress": (layout.egress_socket, frame(EGRESS, harmful=False)),
    }
    drawn = st.sampled_from(sorted(places)).flatmap(
        lambda place: st.tuples(
            st.just(places[place][0]),
            st.lists(places[place][1], min_size=1, max_size=4),
            st.booleans(),
        )
    )

    async def body(case: Case, sent: tuple[Path, list[bytes], bool]) -> None:
        await _one(case, *sent)

    await trial.explore(body, sent=drawn)


async def _one(case: Case, path: Path, frames: list[bytes], greeted: bool) -> None:
    async with wire(path) as peer:
        for data in [hello()] * greeted + frames:
            await peer.send(data[: AGENT_RPC.line + 2])
        await peer.send(call(LAST, "no_such_method", {}))
        try:
            answers, alive = await peer.answers(LAST)
        except TimeoutError:
            case.wrong(f"no answer and no end after {frames!r}")
            return
        except ValueError as error:
            case.wrong(f"an answer is no JSON ({error}) after {frames!r}")
            return
    inside = [one for one in answers if code_of(one) == "internal"]
    refusals = [one for one in answers if "error" in one and one.get("id") != LAST]
    case.unless(
        f"failed inside after {frames!r}: {inside!r}" if inside else None,
        refused=bool(refusals) or not alive,
    )


def method_names(*modules: Any) -> frozenset[str]:
    """Return the names of the calls (not notifications) in these modules."""
    return frozenset(one.name for one in calls(*modules) if isinstance(one, Method))


ALL: Final = method_names(agent, manager, operator, relay, egress, terminal)
"""Every call of every role."""
assert HELLO.name not in ALL
