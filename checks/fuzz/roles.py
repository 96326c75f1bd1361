"""Role escalation: every call of every other role, from every socket and user.

A call is refused when the answer is an error that says so, or when there is no
connection at all. An answer that only finds fault with the params is wrong: it means
that somebody would have answered.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from checks.fuzz.kit import Trial
from checks.fuzz.rpc import ALL
from checks.fuzz.sockets import call, code_of, hello, wire
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.logins import LoginParams
from pyglue.config import HiveConfig
from pyglue.jsonrpc import SyncClient
from tools.rpc_calls import SURFACES, Surface, calls_of

Answer = dict[str, Any]

REFUSALS: Final = frozenset({"unknown_method", "forbidden", "unauthenticated"})
_NOBODY: Final = 65534
_CLI_ONLY: Final = frozenset(
    {
        *("login_code", "metrics", "metrics_token", "repair", "export", "backup"),
        *("transfer_read", "import_begin", "import_chunk", "import"),
        *("secret_set", "secret_rotate", "secret_remove"),
    }
)
_AS_USER: Final = """
import json, os, socket, sys
path, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
found = []
for lines in json.load(sys.stdin):
    answers = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        try:
            sock.connect(path)
            file = sock.makefile("rb")
            for line in lines:
                sock.sendall(line.encode())
                answers.append(json.loads(file.readline() or "null"))
        except (PermissionError, FileNotFoundError, ConnectionError):
            pass
    found.append([one for one in answers if one])
print(json.dumps(found))
"""
"""Makes one connection for each group of lines; no answers where there is none."""


@dataclass(frozen=True)
class Caller:
    """Who calls: a socket, a user (None: ours), a hello, and what is theirs to call."""

    name: str
    path: Path
    own: frozenset[str]
    greeting: bytes | None = hello()
    uid: int | None = None


def own_calls(surface: Surface) -> frozenset[str]:
    """Return the names that a role may call without being a harness."""
    limited = {one for several, _ in surface.limited for one in several}
    several = {one for _, one, _ in calls_of(surface)} | set(surface.also)
    if surface.title != "The operator":
        several -= limited
    return frozenset(one.name for one in several - set(surface.down))


_AGENT, _MANAGER, _OPERATOR, _RELAY, _EGRESS = map(own_calls, SURFACES)


def callers(config: HiveConfig, session: str) -> Iterator[Caller]:
    """Yield everybody who is not the operator at the command line."""
    layout = config.layout
    for name, own in (("alice", _AGENT), ("manager", _AGENT | _MANAGER)):
        path = layout.run(name) / "hive.sock"
        yield Caller(name, path, own)
        yield Caller(f"{name} without hello", path, frozenset(), None)
    yield Caller("relay", layout.relay_socket, _RELAY)
    yield Caller("hive-egress", layout.egress_socket, _EGRESS)
    door = layout.operator_socket
    yield Caller("operator without hello", door, frozenset(), None)
    public = frozenset({"login", "agent_ports", "web_origin", "webhook"})
    claims = hello("hive-web")
    yield Caller("hive-web by name, no session", door, public, claims)
    dead = hello("hive-web", "0" * 43)
    yield Caller("hive-web, a session that is not", door, frozenset(), dead)
    live = hello("hive-web", session)
    yield Caller("hive-web, a session", door, _OPERATOR - _CLI_ONLY, live)
    ids = config.ids
    if ids is None or os.geteuid() != 0:
        return
    yield Caller("user of hive-web", door, public, hello("hive"), ids.web)
    for name, uid in (
        ("user of the manager", ids.agent),
        ("user of the last agent", ids.agent + ids.agents - 1),
        ("user of the relay", ids.relay),
        ("user of hive-egress", ids.egress or _NOBODY),
        ("another user", _NOBODY),
    ):
        yield Caller(name, door, frozenset(), hello("hive"), uid)
        yield Caller(
            f"{name}, claims", door, frozenset(), hello("hive-web", session), uid
        )
        if uid != ids.relay:
            yield Caller(
                f"{name} at relay.sock", layout.relay_socket, frozenset(), uid=uid
            )
        if uid != ids.egress:
            yield Caller(
                f"{name} at egress.sock", layout.egress_socket, frozenset(), uid=uid
            )
        if uid != ids.agent:
            yield Caller(
                f"{name} at hive.sock",
                layout.run("manager") / "hive.sock",
                frozenset(),
                uid=uid,
            )


async def attack(trial: Trial) -> None:
    """Let each caller call all that is not theirs."""
    hive = await trial.lab.hive()
    config = hive.local.config
    code = (await hive.operator.call(api.LOGIN_CODE, NoParams())).code
    session = await asyncio.to_thread(_login, config.layout.operator_socket, code)
    everyone = tuple(callers(config, session))
    tried = [(caller, name) for caller in everyone for name in sorted(ALL - caller.own)]
    answered: dict[tuple[str, str], list[Answer]] = {}
    for caller in everyone:
        names = sorted(ALL - caller.own)
        found = await _answers(caller, names)
        answered |= {(caller.name, n): a for n, a in zip(names, found, strict=True)}
    for case, (caller, name) in trial.each(tried):
        found_here = answered[caller.name, name]
        codes = {code_of(one) for one in found_here}
        wrong = f"{caller.name} calls {name}: {found_here!r}"
        case.unless(wrong if codes and not REFUSALS & codes else None, refused=True)


def _login(path: Path, code: str) -> str:
    client = SyncClient(path, client="hive-web")
    try:
        return client.call(api.LOGIN, LoginParams(code=code)).session
    finally:
        client.close()


async def _answers(caller: Caller, names: list[str]) -> list[list[Answer]]:
    """Return what comes back for each name, over a connection of its own."""
    greeting = [] if caller.greeting is None else [caller.greeting]
    sent = [[*greeting, call(1, name, {})] for name in names]
    if caller.uid is not None:
        return await asyncio.to_thread(_as_user, caller, sent)
    found = []
    for lines in sent:
        async with wire(caller.path) as peer:
            for line in lines:
                await peer.send(line)
            found.append((await peer.answers(1))[0])
    return found


def _as_user(caller: Caller, sent: list[list[bytes]]) -> list[list[Answer]]:
    done = subprocess.run(
        ["/usr/bin/python3", "-c", _AS_USER, str(caller.path), str(caller.uid)],
        input=json.dumps([[line.decode() for line in lines] for lines in sent]),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[Answer]] = json.loads(done.stdout)
    return found
