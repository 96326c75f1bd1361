"""hived's side of terminals: ownership, buffers, and that nothing is lost."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.backend import Played
from checks.kits.host.store import Kit, open_kit, put, settled
from checks.kits.patience import PATIENCE_S
from pyglue.api import terminal as api
from pyglue.api.common import Done
from pyglue.config import HiveConfig, WebConfig
from pyglue.errors import ErrorCode, HiveError, PeerError
from pyglue.host.backends.base import Backend
from pyglue.host.backends.local import LocalBackend
from pyglue.host.backends.nixos_container import NixosContainerBackend
from pyglue.host.core.agent import Agent
from pyglue.host.core.audit import Audit
from pyglue.host.watch.terminals import Terminals
from pyglue.redaction.redactor import Redactor

ME, OTHER = "session aaaaaaaa", "session bbbbbbbb"


class Line:
    """A connection in miniature: what was sent down it, and its end."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.ends: list[Any] = []
        self.refuse: HiveError | None = None

    async def call(self, _method: Any, params: Any, *, timeout: float) -> Done:
        if self.refuse is not None:
            raise self.refuse
        self.sent.append(params)
        return Done()

    def notify(self, note: Any, params: Any) -> None:
        self.sent.append((note.name, params))

    def on_close(self, callback: Any) -> None:
        self.ends.append(callback)

    def end(self) -> None:
        for callback in self.ends:
            callback()

    def notes(self, name: str) -> list[Any]:
        return [
            one[1] for one in self.sent if isinstance(one, tuple) and one[0] == name
        ]

    def bytes(self) -> bytes:
        return b"".join(one.data for one in self.notes("terminal_data"))


@pytest.fixture
async def kit(tmp_path: Path) -> Any:
    opened = await open_kit(tmp_path)
    yield opened
    await opened.store.close()


@pytest.fixture
async def agent(kit: Kit) -> Agent:
    made = await kit.agent("alice")
    put(made, harness=Line())
    return made


def harness(agent: Agent) -> Line:
    assert isinstance(agent.harness, Line)
    return agent.harness


async def test_a_secret_is_not_shown_however_it_comes(kit: Kit, agent: Agent) -> None:
    """Split over chunks, kept for a viewer who comes later, and typed in part."""
    kit.terminals.redactor.learn("TOKEN", "tok-12345678")
    terminal, viewer = await opened(kit), Line()
    peer: Any = harness(agent)
    for data in (b"a tok-", b"1234", b"5678 b tok", b"-12", b"x"):
        await kit.terminals.output(
            api.TerminalOutputParams(terminal=terminal, data=data), peer
        )
    attached: Any = viewer
    params = api.TerminalAttachParams(terminal=terminal)
    await kit.terminals.attach(params, attached, ME)
    assert viewer.bytes() == b"a [secret TOKEN] b tok-12x"
    await kit.terminals.output(
        api.TerminalOutputParams(terminal=terminal, data=b"$ to"), peer
    )
    async with asyncio.timeout(PATIENCE_S):
        while not viewer.bytes().endswith(b"$ to"):
            await asyncio.sleep(0.01)
    await kit.terminals.output(
        api.TerminalOutputParams(terminal=terminal, data=b"k-12345678"), peer
    )
    assert viewer.bytes().endswith(b"$ to[secret TOKEN]")
    harness(agent).end()


async def opened(kit: Kit, by: str = ME) -> str:
    params = api.TerminalOpenParams(agent="alice")
    return (await kit.terminals.open(params, by)).terminal


async def attach(
    kit: Kit, name: str, viewer: Line, *, offset: int = 0, by: str = ME
) -> Any:
    params = api.TerminalAttachParams(terminal=name, offset=offset)
    return await kit.terminals.attach(params, viewer, by)  # type: ignore[arg-type]


async def output(kit: Kit, agent: Agent, name: str, data: bytes) -> None:
    params = api.TerminalOutputParams(terminal=name, data=data)
    await kit.terminals.output(params, harness(agent))  # type: ignore[arg-type]


async def test_output_before_and_after_a_viewer_comes(kit: Kit, agent: Agent) -> None:
    name, viewer = await opened(kit), Line()
    await output(kit, agent, name, b"one ")
    assert (await attach(kit, name, viewer)).offset == 0
    await output(kit, agent, name, b"two")
    assert viewer.bytes() == b"one two"


async def test_who_comes_back_sees_nothing_twice(kit: Kit, agent: Agent) -> None:
    name, first, second = await opened(kit), Line(), Line()
    await attach(kit, name, first)
    await output(kit, agent, name, b"12345")
    first.end()
    await output(kit, agent, name, b"678")
    assert (await attach(kit, name, second, offset=3)).offset == 3
    assert second.bytes() == b"45678"


async def test_what_is_no_longer_kept_is_said(kit: Kit, agent: Agent) -> None:
    name, viewer = await opened(kit), Line()
    await attach(kit, name, viewer)
    for _ in range(16):
        await output(kit, agent, name, b"x" * api.CHUNK)
        shown = api.TerminalAckParams(terminal=name, offset=len(viewer.bytes()))
        kit.terminals.ack(shown, viewer)  # type: ignore[arg-type]
    late = Line()
    begin = (await attach(kit, name, late)).offset
    assert begin == 16 * api.CHUNK - len(late.bytes()) > 0


async def test_the_harness_waits_for_a_slow_viewer(kit: Kit, agent: Agent) -> None:
    name, viewer = await opened(kit), Line()
    await attach(kit, name, viewer)
    for _ in range(8):
        await output(kit, agent, name, b"x" * api.CHUNK)
    waiting = asyncio.create_task(output(kit, agent, name, b"y"))
    await settled()
    assert not waiting.done()
    shown = api.TerminalAckParams(terminal=name, offset=api.CHUNK)
    kit.terminals.ack(shown, viewer)  # type: ignore[arg-type]
    await waiting


async def test_an_end_frees_a_waiting_harness(kit: Kit, agent: Agent) -> None:
    name = await opened(kit)
    for _ in range(8):
        await output(kit, agent, name, b"x" * api.CHUNK)
    waiting = asyncio.create_task(output(kit, agent, name, b"y"))
    await settled()
    await kit.terminals.close(api.TerminalParams(terminal=name), ME)
    await waiting
    assert harness(agent).notes("terminal_stop")


async def test_only_who_opened_it_sees_types_and_closes(kit: Kit, agent: Agent) -> None:
    name, thief = await opened(kit), Line()
    with pytest.raises(HiveError) as refused:
        await attach(kit, name, thief, by=OTHER)
    assert refused.value.code is ErrorCode.NOT_FOUND
    typed = api.TerminalInputParams(terminal=name, data=b"rm -rf /\n")
    kit.terminals.input(typed, thief)  # type: ignore[arg-type]
    size = api.TerminalResizeParams(terminal=name, columns=1, rows=1)
    kit.terminals.resize(size, thief)  # type: ignore[arg-type]
    await kit.terminals.close(api.TerminalParams(terminal=name), OTHER)
    assert harness(agent).notes("terminal_input") == []
    assert harness(agent).notes("terminal_resize") == []
    await attach(kit, name, Line())


async def test_another_agent_s_harness_writes_nowhere(kit: Kit, agent: Agent) -> None:
    name, viewer, bob = await opened(kit), Line(), Line()
    await attach(kit, name, viewer)
    with pytest.raises(HiveError):
        await kit.terminals.output(
            api.TerminalOutputParams(terminal=name, data=b"hi"),
            bob,  # type: ignore[arg-type]
        )
    ended = api.TerminalExitParams(terminal=name, reason="bob says so")
    kit.terminals.exited(ended, bob)  # type: ignore[arg-type]
    assert viewer.sent == []


async def test_why_a_shell_ended_is_quoted(kit: Kit, agent: Agent) -> None:
    name, viewer = await opened(kit), Line()
    await attach(kit, name, viewer)
    ended = api.TerminalExitParams(terminal=name, reason="All is well.\x1b[2J")
    kit.terminals.exited(ended, harness(agent))  # type: ignore[arg-type]
    (told,) = viewer.notes("terminal_ended")
    assert told.reason == "“All is well.\\x1b[2J”"


async def test_a_logout_ends_the_session_s_terminals(kit: Kit, agent: Agent) -> None:
    mine, theirs = await opened(kit), await opened(kit, OTHER)
    kit.terminals.close_of(ME)
    assert [one.terminal for one in harness(agent).notes("terminal_stop")] == [mine]
    await attach(kit, theirs, Line(), by=OTHER)


async def test_the_end_of_the_harness_ends_them(kit: Kit, agent: Agent) -> None:
    name, viewer = await opened(kit), Line()
    await attach(kit, name, viewer)
    harness(agent).end()
    assert "harness" in viewer.notes("terminal_ended")[0].reason
    with pytest.raises(HiveError):
        await attach(kit, name, Line())


async def test_without_a_harness_the_way_out_is_named(kit: Kit, agent: Agent) -> None:
    put(agent, harness=None)
    with pytest.raises(HiveError, match="harness of alice is not running") as refused:
        await opened(kit)
    assert refused.value.code is ErrorCode.AGENT_NOT_RUNNING


async def test_a_harness_that_refuses_leaves_nothing(kit: Kit, agent: Agent) -> None:
    harness(agent).refuse = PeerError(ErrorCode.TOO_MANY, "8 are open.")
    with pytest.raises(HiveError, match="refuses terminal_start: “8 are open"):
        await opened(kit)
    harness(agent).refuse = None
    await opened(kit)


@pytest.mark.parametrize(
    ("backend", "way"),
    [
        (LocalBackend, "`hive start alice`"),
        (NixosContainerBackend, "machinectl shell agent@h-alice"),
    ],
)
def test_each_backend_names_its_way_in(backend: type[Backend], way: str) -> None:
    assert way in object.__new__(backend).without_harness("alice")


async def test_they_can_be_switched_off(kit: Kit, agent: Agent, tmp_path: Path) -> None:
    config = HiveConfig(
        state_dir=str(tmp_path),
        runtime_dir=str(tmp_path),
        web=WebConfig(terminal=False),
    )
    audit = Audit(tmp_path / "other.jsonl", tmp_path / "other.key")
    off = Terminals(
        redactor=Redactor(),
        registry=kit.registry,
        audit=audit,
        config=config,
        backend=Played(),
    )
    with pytest.raises(HiveError, match="disabled") as refused:
        await off.open(api.TerminalOpenParams(agent="alice"), ME)
    assert refused.value.code is ErrorCode.FORBIDDEN


async def test_opening_and_closing_are_audited(
    kit: Kit, agent: Agent, tmp_path: Path
) -> None:
    name = await opened(kit)
    await output(kit, agent, name, b"secret output")
    await kit.terminals.close(api.TerminalParams(terminal=name), ME)
    text = (tmp_path / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(one["who"], one["what"], one["agent"]) for one in lines] == [
        (ME, "terminal_opened", "alice"),
        ("system", "terminal_closed", "alice"),
    ]
    assert lines[1]["data"] == {"bytes": 13, "opened_by": ME}
    assert "secret" not in text
