"""Streamed model output for viewers: from the harness to the viewer's socket."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit, put
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.api.live_text import LiveTextFollowParams, LiveTextParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.watch import live_text
from pyglue.jsonrpc import Connection, Handlers, connect, serve

TURN = 7


class Line:
    """A harness's connection: what it was told."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.heard = asyncio.Event()

    def notify(self, note: Any, params: Any) -> None:
        assert note.name == "watched"
        self.told.append(params.watched)
        self.heard.set()

    async def until(self, *told: bool) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.told != list(told):
                self.heard.clear()
                await self.heard.wait()


class Viewer:
    """A page's end of the socket."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[LiveTextParams] = asyncio.Queue()
        self.connection: Connection

    async def follow(self, agent: str = "alice") -> None:
        params = LiveTextFollowParams(agent=agent)
        await self.connection.call(api.LIVE_TEXT_FOLLOW, params)

    async def text(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return (await self.news.get()).text


class Site:
    """A hive with alice in a turn, and its operator's socket."""

    def __init__(self, room: Path, kit: Kit, alice: Agent, harness: Line) -> None:
        self.path = room / "operator.sock"
        self.kit, self.alice, self.harness = kit, alice, harness

    def session(
        self, connection: Connection, _hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        handlers = Handlers()
        handlers.on(
            api.LIVE_TEXT_FOLLOW,
            lambda asked: self.kit.live_texts.follow(asked, connection),
        )
        result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="test")
        return result, handlers

    async def viewer(self) -> Viewer:
        viewer, handlers = Viewer(), Handlers()
        handlers.on_note(api.LIVE_TEXT, viewer.news.put_nowait)
        hello = HelloParams(protocol=PROTOCOL, client="test")
        viewer.connection = await connect(self.path, handlers, hello=hello)
        return viewer

    def says(self, text: str, turn: int | None = TURN) -> None:
        said = LiveTextParams(turn=turn, text=text)
        self.kit.live_texts.deliver(self.alice, said)


@pytest.fixture
async def site(tmp_path: Path) -> Any:
    kit = await open_kit(tmp_path)
    alice, harness = await kit.agent("alice"), Line()
    put(alice, harness=harness, turn=TURN)
    made = Site(tmp_path, kit, alice, harness)
    server = await serve(made.path, made.session)
    yield made
    server.close()
    for connection in list(server.connections):
        connection.abort()
        await connection.wait_closed()
    await kit.store.close()


async def test_a_viewer_gets_the_newest_text(site: Site) -> None:
    viewer = await site.viewer()
    await viewer.follow()
    assert site.harness.told == [True]
    site.says("One")
    assert await viewer.text() == "One"
    for count in range(1000):  # more than anybody takes: the last one counts
        site.says(f"One {count}")
    while (text := await viewer.text()) != "One 999":
        assert text.startswith("One ")
    assert viewer.news.empty()
    viewer.connection.close()


async def test_the_harness_hears_when_the_last_viewer_leaves(site: Site) -> None:
    first, second = await site.viewer(), await site.viewer()
    await first.follow()
    await second.follow()
    first.connection.close()
    await first.connection.wait_closed()
    site.says("One")
    assert await second.text() == "One"
    assert True in site.harness.told
    assert False not in site.harness.told
    second.connection.close()
    await site.harness.until(True, True, False)
    site.says("two")  # to nobody


async def test_a_harness_that_comes_back_is_told_again(site: Site) -> None:
    greeted: Any = Line()
    site.kit.live_texts.greet(site.alice, greeted)
    viewer = await site.viewer()
    await viewer.follow()
    site.kit.live_texts.greet(site.alice, greeted)
    assert greeted.told == [False, True]
    viewer.connection.close()
    await site.harness.until(True, False)


async def test_only_the_running_turn_is_shown(site: Site) -> None:
    viewer = await site.viewer()
    await viewer.follow()
    site.says("of another", turn=TURN + 1)
    site.says("of none", turn=None)
    site.says("of this one")
    assert await viewer.text() == "of this one"
    viewer.connection.close()
    await site.harness.until(True, False)


async def test_no_part_of_a_secret_is_shown(site: Site) -> None:
    """However the value is split: its beginning waits for what follows."""
    value = "tok-12345678"
    site.kit.live_texts.redactor.learn("TOKEN", value)
    viewer = await site.viewer()
    await viewer.follow()
    for end in range(1, len(value)):
        site.says(f"It is {value[:end]}")
        assert await viewer.text() == "It is "
    site.says(f"It is {value}, ok")
    assert await viewer.text() == "It is [secret TOKEN], ok"
    site.says("It is tok-12x")
    assert await viewer.text() == "It is tok-12x"
    viewer.connection.close()
    await site.harness.until(True, False)


async def test_what_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = await site.viewer()
    for agent, code in (("nobody", ErrorCode.NOT_FOUND), ("alice", None)):
        if code is None:
            await viewer.follow(agent)
            continue
        with pytest.raises(HiveError) as refused:
            await viewer.follow(agent)
        assert refused.value.code is code
    with pytest.raises(HiveError, match="already follows") as refused:
        await viewer.follow()
    assert refused.value.code is ErrorCode.CONFLICT
    monkeypatch.setattr(live_text, "VIEWERS_MAX", 1)
    other = await site.viewer()
    with pytest.raises(HiveError, match="Close some") as refused:
        await other.follow()
    assert refused.value.code is ErrorCode.TOO_MANY
    viewer.connection.close()
    await site.harness.until(True, False)


async def test_a_quiet_stream_gives_a_sign_of_life(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_text, "_BEAT_S", 0.01)
    viewer = await site.viewer()
    await viewer.follow()
    assert await viewer.text() == ""
    viewer.connection.close()
    await site.harness.until(True, False)
