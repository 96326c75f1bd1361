"""Logs to read: a fake ``journalctl``, a backend, and a socket's two ends."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

from checks.kits.host.backend import Played
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import PROTOCOL, HelloParams, HelloResult, Role
from pyglue.api.journal import JournalNews, JournalPage, JournalParams, JournalUnit
from pyglue.host.backends.journald import Journald
from pyglue.host.backends.logs import JournalSource
from pyglue.host.watch.journal import Journal
from pyglue.jsonrpc import Connection, Handlers, connect


def texts(page: JournalPage | JournalNews) -> list[str]:
    return [line.text for line in page.lines]


async def following(pages: AsyncGenerator[JournalPage, None], count: int) -> list[str]:
    """Read news until there are ``count`` lines."""
    got: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < count:
            got += texts(await anext(pages))
    return got


FAKE: Final = """#!{python} -IS
import json, os, sys
room = {room!r}
with open(room + "/asked", "a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
with open(room + "/pid", "w") as file:
    file.write(str(os.getpid()))
if os.path.exists(room + "/fails"):
    sys.exit(open(room + "/fails").read())
after = [a for a in sys.argv if a.startswith("--after-cursor=")]
begin = int(after[0].rpartition("=")[2], 16) if after else 0
lines = open(room + "/entries").read().splitlines()[begin:]
count = [a.rpartition("=")[2] for a in sys.argv if a.startswith("--lines=")]
if count and count[0] != "all":
    lines = lines[:int(count[0])] if after else lines[-int(count[0]):]
for line in lines:
    print(line, flush=True)
if "--follow" in sys.argv:
    with open(room + "/more") as more:
        for line in more:
            print(line, end="", flush=True)
"""


class Room:
    """A ``journalctl`` on PATH, what it was asked, and what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        program = path / "journalctl"
        program.write_text(FAKE.format(python=sys.executable, room=str(path)))
        program.chmod(0o755)
        (path / "entries").touch()
        os.mkfifo(path / "more")

    def entry(self, message: object, **fields: object) -> str:
        self.count += 1
        return json.dumps(
            {
                "__CURSOR": f"s=ab;i={self.count:x}",
                "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + self.count),
                "MESSAGE": message,
                **fields,
            }
        )

    def put(self, *messages: object) -> None:
        with (self.path / "entries").open("a") as file:
            file.writelines(self.entry(one) + "\n" for one in messages)

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(x) for x in (self.path / "asked").read_text().splitlines()]


def source() -> Journald:
    return Journald("--machine=h-alice", "--unit=hive-agent.service")


class OneLog(Played):
    """A backend that notes which log it was asked for."""

    def __init__(self, log: JournalSource) -> None:
        super().__init__()
        self.log = log
        self.asked: list[tuple[str | None, JournalUnit]] = []

    def journal(self, name: str | None, unit: JournalUnit) -> JournalSource:
        self.asked.append((name, unit))
        return self.log


def asked(agent: str, unit: JournalUnit | None = None, **more: Any) -> JournalParams:
    return JournalParams(agent=agent, unit=unit, **more)


class Peer:
    """A client of a socket that offers the journal, and what it was sent."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[JournalNews] = asyncio.Queue()
        self.connection: Connection

    async def follow(self, agent: str = "alice") -> JournalPage:
        return await self.connection.call(api.JOURNAL_FOLLOW, asked(agent))

    async def next(self) -> JournalNews:
        return await asyncio.wait_for(self.news.get(), PATIENCE_S)


class Socket:
    """The journal behind a real socket."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path = path
        self.journal = journal

    def session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        handlers = Handlers()
        handlers.on(
            api.JOURNAL_FOLLOW, lambda asked: self.journal.follow(asked, connection)
        )
        result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="test")
        return result, handlers

    async def peer(self) -> Peer:
        peer = Peer()
        handlers = Handlers()
        handlers.on_note(api.JOURNAL_NEWS, peer.news.put_nowait)
        hello = HelloParams(protocol=PROTOCOL, client="test")
        peer.connection = await connect(self.path, handlers, hello=hello)
        return peer
