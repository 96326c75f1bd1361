"""Secrets that are planted in a running hive, and searched for everywhere afterwards.

The model's API key, a session, used and unused login codes, the metrics token, and a
value in an agent's environment. The hive then works, fails, exports and is backed up.
Each secret may be in the places that ``MEANT`` names and in no other: not in a log, an
error, a page, an archive, another process, or a file that other users can read.
"""

import asyncio
import contextlib
import os
import re
import secrets
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.fuzz.http import Site, exchange
from checks.fuzz.kit import Trial
from checks.fuzz.sockets import call, hello, wire
from checks.kits.cli.run import HIVE, python
from checks.kits.host.hive import API_KEY, Hive, script
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.logins import LoginParams
from pyglue.api.metrics import MetricsTokenParams
from pyglue.api.operations import OperationState
from pyglue.jsonrpc import SyncClient

_NIX: Final = """{
  hyperhive.description = "has a secret in its environment";
  hyperhive.env.PLANTED = "%s";
}
"""
_STREAM: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_FILE_MAX: Final = 64 * 1024 * 1024
_PAGES: Final = (
    *("/", "/messages", "/approvals", "/agents/alice", "/agents/manager", "/kept"),
    *("/activity", "/operations", "/doctor", "/api/audit", "/api/doctor"),
    *("/api/status", "/api/agents", "/api/approvals", "/api/journal/hive?lines=500"),
    *("/api/journal/alice?lines=500", "/api/journal/manager?lines=500", "/login"),
    *("/metrics", "/nothing", "/approvals/999999", "/api/nothing"),
)


@dataclass(frozen=True)
class Planted:
    """A secret, and where it is meant to be: a test of a place's name."""

    name: str
    value: bytes
    meant: Callable[[str], bool]


@dataclass(frozen=True)
class Place:
    """Somewhere to look: a name, what is there, and if other users can read it."""

    name: str
    content: bytes
    world: bool = False


def _nowhere(_: str) -> bool:
    return False


def _api_key(place: str) -> bool:
    return bool(re.fullmatch(r"file \S+/api-key", place))


def _environment(place: str) -> bool:
    """Say where a variable of agent.nix is meant to be: with alice and the operator.

    Records, repositories and the store hold agent.nix; so do the whole hive's backup,
    alice's own archive, her processes, and the operator's view of the change.
    """
    shown = ("page /approvals", "page /api/approvals", "page /agents/alice")
    return (
        "/applied/alice.git/" in place
        or "/agents/alice/config" in place
        or place.endswith(("/hive.db", "/hive.db-wal", "/alice/manifest.json"))
        or place.startswith(("environ of an agent", "archive", *shown))
    )


async def attack(trial: Trial) -> None:
    """Plant, let the hive work, and look."""
    hive = await trial.lab.hive()
    planted, site = await _plant(hive)
    room = trial.lab.room("planted")
    await _work(hive, room, planted)
    places = [
        *await asyncio.to_thread(lambda: tuple(_on_disk(hive, room))),
        *await asyncio.to_thread(lambda: tuple(_in_processes(hive))),
        *[await _page(site, path) for path in _PAGES],
    ]
    pairs = [(secret, place) for secret in planted for place in places]
    for case, (secret, place) in trial.each(pairs):
        held = secret.value in place.content
        wrong = None
        if held and not secret.meant(place.name):
            at = place.content.index(secret.value)
            near = place.content[max(0, at - 80) : at]
            wrong = f"the {secret.name} is in {place.name}, after {near!r}"
        elif held and place.world:
            wrong = f"the {secret.name} is in {place.name}, which other users can read"
        case.unless(wrong, refused=not held)
    seen = {s.name for s in planted for p in places if s.value in p.content}
    assert {"API key", "variable"} <= seen, "the search finds what is there"


async def _plant(hive: Hive) -> tuple[tuple[Planted, ...], Site]:
    variable = f"planted-{secrets.token_hex(12)}"
    operation = await hive.approve(await hive.propose("alice", _NIX % variable))
    assert operation.state is OperationState.DONE, operation.error
    await hive.idle("alice")
    codes = [
        (await hive.operator.call(api.LOGIN_CODE, NoParams())).code for _ in range(2)
    ]
    token = (await hive.operator.call(api.METRICS_TOKEN, MetricsTokenParams())).token
    door = hive.local.config.layout.operator_socket

    def login() -> str:
        with contextlib.closing(SyncClient(door, client="hive-web")) as web:
            return web.call(api.LOGIN, LoginParams(code=codes[0])).session

    session = await asyncio.to_thread(login)
    port = hive.local.config.web.port
    site = Site(
        port=port,
        origin=await asyncio.to_thread(lambda: hive.url),
        session=session,
        cookie=f"hive_{port}",
        marker=b"",
        paths=(),
    )
    return (
        Planted("API key", API_KEY.encode(), _api_key),
        Planted("session", session.encode(), _nowhere),
        Planted("login code that was used", codes[0].encode(), _nowhere),
        Planted("login code", codes[1].encode(), _nowhere),
        Planted("metrics token", token.encode(), _nowhere),
        Planted("variable", variable.encode(), _environment),
    ), site


async def _work(hive: Hive, room: Path, planted: tuple[Planted, ...]) -> None:
    """Let everything happen that could write a secret down."""
    await hive.send("alice", script({"text": "a turn with the model"}))
    await hive.send("manager", script({"status": 400, "text": "an error"}))
    await hive.idle("alice", "manager")
    values = {one.name: one.value.decode() for one in planted}
    door = hive.local.config.layout.operator_socket
    for line in (
        hello("hive-web", values["session"] + "x"),
        hello("hive-web", values["session"]) + call(1, "login", {"code": 7}),
        hello() + call(1, "login", {"code": values["login code"]}),
    ):
        async with wire(door) as peer:
            await peer.send(line)
            await peer.answers(1 if b"login" in line else 0)
    for words in (
        ("backup", "-o", str(room / "backup")),
        ("export", "alice", "-o", str(room / "alice")),
    ):
        said = await python(HIVE, *words, "--socket", str(door))
        assert said.code == 0, said.err


async def _page(site: Site, path: str) -> Place:
    raw = (
        f"GET {path} HTTP/1.1\r\nHost: {site.host}\r\nConnection: close\r\n"
        f"Cookie: {site.cookie}={site.session}\r\n\r\n"
    )
    return Place(f"page {path}", await exchange(site, raw.encode()))


def _on_disk(hive: Hive, room: Path) -> Iterator[Place]:
    config = hive.local.config
    roots = (config.layout.state, config.layout.runtime.parent)
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield Place(f"file {path}", _content(path), _open_to_all(path))
    for path in sorted(room.iterdir()):
        yield Place(f"archive {path.name}", _content(path))


def _content(path: Path) -> bytes:
    """Return a file's bytes, and what of them is compressed."""
    try:
        raw = path.read_bytes()[:_FILE_MAX]
    except OSError:
        return b""
    found = [raw]
    for match in _STREAM.finditer(raw):
        with contextlib.suppress(zlib.error):
            found.append(zlib.decompressobj().decompress(raw[match.start() :], 2**22))
    return b"\0".join(found)


def _open_to_all(path: Path) -> bool:
    with contextlib.suppress(OSError):
        above = [one.stat().st_mode for one in path.resolve().parents]
        return bool(path.stat().st_mode & stat.S_IROTH) and all(
            mode & stat.S_IXOTH for mode in above
        )
    return False


def _in_processes(hive: Hive) -> Iterator[Place]:
    parts = {hive.local.pid(n): n for n in ("hived", "hive-web", "hive-relay")}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environ = (entry / "environ").read_bytes()
            words = (entry / "cmdline").read_bytes()
            if str(hive.state).encode() in words + environ or b"/run/hive" in environ:
                name = parts.get(int(entry.name), "an agent")
                yield Place(f"environ of {name}", environ)
                yield Place(f"command line of {name}", words, world=True)
