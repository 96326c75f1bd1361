"""Authentication of the operator: codes, sessions, user IDs, and the audit log."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.logins import LoginParams, LogoutParams
from pyglue.api.metrics import MetricsTokenParams
from pyglue.config import HiveConfig, Ids, WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.api.sessions import Sessions
from pyglue.host.core.audit import Audit
from pyglue.jsonrpc import Connection
from pyglue.manifest.record import canonical
from pyglue.store import logins
from pyglue.store.database import Store, open_store
from pyglue.store.logins import LoginKind

IDS = Ids(agent=101, web=102, relay=103, egress=104, notify=105)


@dataclass
class Peer:
    """As much of a connection as sessions look at."""

    peer_uid: int


@dataclass
class Room:
    store: Store
    audit: Audit
    path: Path

    def sessions(
        self, ids: Ids | None, *, run: str = "", trusted_days: int = 0
    ) -> Sessions:
        config = HiveConfig(
            state_dir=str(self.path),
            runtime_dir="/r",
            ids=ids,
            web=WebConfig(run=run, trusted_days=trusted_days),
        )
        return Sessions(store=self.store, config=config, audit=self.audit)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    store = open_store(tmp_path / "hive.db", tmp_path / "lock")
    audit = Audit(tmp_path / "audit.jsonl", tmp_path / "key")
    yield Room(store, audit, tmp_path)
    await store.close()


def hello(client: str, session: str | None = None) -> HelloParams:
    return HelloParams(protocol=PROTOCOL, client=client, session=session)


def peer(uid: int) -> Connection:
    return cast(Connection, Peer(uid))


async def login(sessions: Sessions) -> str:
    code = await sessions.mint_code("test")
    return (await sessions.login(LoginParams(code=code.code))).session


async def test_a_code_works_once(room: Room) -> None:
    sessions = room.sessions(IDS)
    code = await sessions.mint_code("test")
    assert code.url.endswith(f"/login?code={code.code}")
    await sessions.login(LoginParams(code=code.code))
    for wrong in (code.code, "guess", ""):
        with pytest.raises(HiveError) as caught:
            await sessions.login(LoginParams(code=wrong))
        assert caught.value.code is ErrorCode.UNAUTHENTICATED


async def test_the_web_user_needs_a_live_session_whatever_it_calls_itself(
    room: Room,
) -> None:
    sessions = room.sessions(IDS)
    token = await login(sessions)
    assert not sessions.caller(peer(IDS.web), hello("hive")).session
    assert sessions.caller(peer(IDS.web), hello("hive", token)).session
    for dead in ("guess", "", token + "x"):
        with pytest.raises(HiveError) as caught:
            sessions.caller(peer(IDS.web), hello("hive-web", dead))
        assert caught.value.code is ErrorCode.UNAUTHENTICATED
    await sessions.logout(LogoutParams(session=token))
    with pytest.raises(HiveError):
        sessions.caller(peer(IDS.web), hello("hive-web", token))


@pytest.mark.parametrize("name", ["agent", "relay", "egress", "notify"])
async def test_agents_and_daemons_are_never_the_operator(room: Room, name: str) -> None:
    uid = getattr(IDS, name)
    with pytest.raises(HiveError) as caught:
        room.sessions(IDS).caller(peer(uid), hello("hive"))
    assert caught.value.code is ErrorCode.FORBIDDEN


async def test_the_cli_is_known_by_its_user(room: Room) -> None:
    caller = room.sessions(IDS).caller(peer(1000), hello("hive"))
    assert (caller.name, caller.web, caller.session) == ("cli uid 1000", False, True)


async def test_without_users_of_their_own_the_web_says_who_it_is(room: Room) -> None:
    caller = room.sessions(None).caller(peer(1000), hello("hive-web"))
    assert (caller.web, caller.session) == (True, False)


async def test_a_trusted_browser_stays_logged_in_as_long_as_the_host_allows(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.time()
    sessions = room.sessions(IDS, trusted_days=7)
    usual = await login(sessions)
    code = (await sessions.mint_code("test")).code
    trusted = await sessions.login(LoginParams(code=code, trusted=True))
    assert trusted.expires_at == pytest.approx(began + 7 * 86400, abs=60)
    assert [one["data"] for one in entries(room) if one["what"] == "login"] == [
        {},
        {"trusted_days": 7},
    ]
    lower, again = (room.sessions(IDS, trusted_days=days) for days in (1, 7))
    without = room.sessions(IDS)
    for one in (lower, again, without):
        await one.load()
    for hours, lives in (
        (11, {"usual", "again", "lower", "without"}),
        (13, {"again", "lower"}),  # where nobody is trusted any more it is as usual
        (25, {"again"}),  # where the host's number is lower now, that counts
        (7 * 24 + 1, set()),
        (-1, set()),  # the clock was set back by more than it may
    ):
        monkeypatch.setattr(time, "time", lambda hours=hours: began + hours * 3600)
        found = {"usual"} if sessions.alive(usual) else set()
        for name, one in (("again", again), ("lower", lower), ("without", without)):
            found |= {name} if one.alive(trusted.session) else set()
        assert found == lives, hours


async def test_a_hive_that_trusts_no_browser_refuses_to(room: Room) -> None:
    sessions = room.sessions(IDS)
    code = (await sessions.mint_code("test")).code
    with pytest.raises(HiveError, match="Trusted browsers are disabled") as caught:
        await sessions.login(LoginParams(code=code, trusted=True))
    assert caught.value.code is ErrorCode.FORBIDDEN
    assert (await sessions.login(LoginParams(code=code))).session


async def test_sessions_survive_a_restart_and_secrets_are_not_stored(
    room: Room,
) -> None:
    token = await login(room.sessions(IDS))
    again = room.sessions(IDS)
    assert not again.alive(token)
    await again.load()
    assert again.alive(token)
    assert token.encode() not in (room.path / "hive.db-wal").read_bytes()
    assert token.encode() not in (room.path / "audit.jsonl").read_bytes()


def entries(room: Room) -> list[dict[str, Any]]:
    lines = (room.path / "audit.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines]


async def test_the_audit_log_is_chained_with_a_key_over_restarts(room: Room) -> None:
    room.audit.record("cli", "one", "alice", {"commit": "c"})
    room.audit.close()
    again = Audit(room.path / "audit.jsonl", room.path / "key")
    again.record("cli", "two", None, {"text": 'a "mac":"' + "x" * 70})
    again.close()
    last = Audit(room.path / "audit.jsonl", room.path / "key")
    last.record("cli", "three", None, {})
    last.close()
    key = (room.path / "key").read_bytes()
    previous = "0" * 64
    for entry in entries(room):
        mac = entry.pop("mac")
        assert entry["previous"] == previous
        assert mac == hmac.new(key, canonical(entry), hashlib.sha256).hexdigest()
        previous = mac
    assert (room.path / "key").stat().st_mode & 0o077 == 0


async def test_logins_end_with_the_life_of_the_listener(room: Room) -> None:
    """Who took the port meanwhile may have been sent them by an open tab."""
    first = room.sessions(None, run="one")
    token = await login(first)
    code = (await first.mint_code("test")).code
    metrics = (await first.metrics_token(MetricsTokenParams(), "test")).token
    for run, lives in (("one", True), ("two", False), ("", False)):
        later = room.sessions(None, run=run)
        await later.load()
        assert later.alive(token) is lives
        caller = later.caller(peer(0), hello("hive-web", metrics))
        assert caller.metrics, "Prometheus keeps its token"
        if not lives:
            with pytest.raises(HiveError):
                await later.login(LoginParams(code=code))


async def test_a_session_of_an_earlier_version_lives_on(room: Room) -> None:
    token = "a-token-of-before"
    digest = hashlib.sha256(token.encode()).hexdigest()
    end = time.time() + 60
    await room.store.write(lambda tx: logins.insert(tx, LoginKind.SESSION, digest, end))
    sessions = room.sessions(None)
    await sessions.load()
    assert sessions.alive(token)


async def test_the_link_is_to_the_dashboards_own_name(room: Room) -> None:
    link = (await room.sessions(None).mint_code("test")).url
    name = (room.path / "dashboard-name").read_text().strip()
    assert link.startswith(f"http://{name}.localhost:7000/login?code=")
    assert name not in (room.path / "audit.jsonl").read_text()
