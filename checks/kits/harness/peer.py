"""A harness for tests of the hive, without a CLI or a model.

hived cannot tell it from the real one: it loads the pinned record, says hello with its
hash, parks for mail, and runs turns, over the agent's real socket, in the sandbox. A
message with a ``SCRIPT`` is played as the scripted model would play it: ``text``,
``tool`` (one of the hive's own) and ``sleep``; any other step ends the turn as failed.
A start takes a tenth of the real one's processor time, and so does a turn.

For tests of what hived does with agents. Where the sandbox's inside, the CLI, the gate
or the model are in question, the real harness runs. hived passes the text of this file
to the interpreter (``checks.kits.host.hived``), so it imports the product only.
"""

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pyglue import paths, startup
from pyglue.api.agent import (
    CANCEL_TURN,
    COMPACT_SESSION,
    CONTROL,
    RECV,
    TURN_END,
    TURN_START,
    CancelTurnParams,
)
from pyglue.api.common import AgentState, Done, HarnessReport
from pyglue.api.messages import Message, RecvParams
from pyglue.api.turn_events import Log, Text
from pyglue.api.turns import TurnEndParams, TurnOutcome, TurnStartParams
from pyglue.demo.playbook import Step, inline_steps
from pyglue.errors import HiveError
from pyglue.harness.control import Control
from pyglue.harness.joined import Joined
from pyglue.harness.link.link import Link
from pyglue.harness.load import Places, load
from pyglue.jsonrpc import Connection, Handlers
from pyglue.tools import Tool, agent_tools, manager_tools

_WAIT_S: Final = 180.0
_VERSION: Final = "0.0.0 (a peer of tests)"
_TOOL: Final = "mcp__hive__"
_NOTHING: Final = (Step(text="OK."),)


class Peer:
    """Takes mail and plays turns, one at a time."""

    def __init__(self, link: Link, control: Control, tools: Sequence[Tool]) -> None:
        self._link = link
        self._control = control
        self._tools = {f"{_TOOL}{tool.name}": tool for tool in tools}
        self._turn: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._control.look()
            hold = self._control.hold
            if hold is not None:
                self._link.say(*hold)
                await self._control.changed()
                continue
            self._link.say(AgentState.IDLE)
            connection = await self._link.connection()
            mail = asyncio.create_task(self._mail(connection))
            changed = asyncio.create_task(self._control.changed())
            await asyncio.wait({mail, changed}, return_when=asyncio.FIRST_COMPLETED)
            for task in (mail, changed):
                task.cancel()
            await asyncio.wait({mail, changed})
            messages = () if mail.cancelled() else mail.result()
            if messages:
                with contextlib.suppress(HiveError):  # the connection's end has it
                    await self._work(connection, messages)

    async def cancel(self, params: CancelTurnParams) -> Done:
        """End the running turn; hived's method."""
        if self._turn is not None:
            self._turn.cancel()
        return Done()

    async def _mail(self, connection: Connection) -> tuple[Message, ...]:
        params = RecvParams(wait_seconds=_WAIT_S, max=32, had=())
        try:
            return (await connection.call(RECV, params, timeout=_WAIT_S)).messages
        except HiveError:
            return ()

    async def _work(
        self, connection: Connection, messages: tuple[Message, ...]
    ) -> None:
        seen = tuple(message.id for message in messages)
        params = TurnStartParams(messages=seen)
        turn = (await connection.call(TURN_START, params)).turn
        self._link.begin_turn(turn, connection)
        self._link.say(AgentState.THINKING)
        bodies = "\n\n".join(message.body for message in messages)
        self._turn = asyncio.create_task(self._play(bodies))
        await asyncio.wait({self._turn})
        if self._turn.cancelled():
            outcome, reason = TurnOutcome.CANCELLED, "It was cancelled."
        elif (error := self._turn.exception()) is not None:
            outcome, reason = TurnOutcome.FAILED, str(error)
        else:
            outcome, reason = TurnOutcome.OK, None
        self._turn = None
        self._link.end_turn()
        ended = TurnEndParams(turn=turn, outcome=outcome, reason=reason)
        await connection.call(TURN_END, ended)

    async def _play(self, bodies: str) -> None:
        for step in inline_steps(bodies) or _NOTHING:
            await asyncio.sleep(step.sleep)
            if step.text is not None:
                self._link.emit(Text(text=step.text))
            if step.tool is not None:
                answer = await self._tools[step.tool].call(self._link, step.input)
                self._link.emit(Log(text=answer.text[:1000]))
            if step != Step(
                text=step.text, tool=step.tool, input=step.input, sleep=step.sleep
            ):
                raise ValueError(f"This peer cannot play {msgspec.to_builtins(step)}")


async def run() -> None:
    """Be the agent until a signal."""
    startup.done()
    inside = paths.INSIDE
    places = Places(
        run=Path(inside.run),
        state=Path(inside.state),
        session=Path(inside.session),
        agents=Path(inside.agents),
    )
    loaded = load(places.record.read_bytes())
    handlers = Handlers()
    link = Link(places.hive_socket, handlers, Joined())
    control = Control()
    tools = manager_tools(places.agents) if places.is_manager else agent_tools()
    peer = Peer(link, control, tools)
    handlers.on(CANCEL_TURN, peer.cancel)
    handlers.on(COMPACT_SESSION, control.ask_compact)
    handlers.on_note(CONTROL, control.take)
    missing = [
        f"The program {server.command!a} of the MCP server {name!a} is not installed."
        for name, server in loaded.manifest.mcp_servers.items()
        if shutil.which(server.command) is None
    ]
    report = HarnessReport(
        manifest_sha256=loaded.sha256,
        system=loaded.system,
        cli_version=_VERSION,
        problem=" ".join(missing) or None,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = [asyncio.create_task(one) for one in (link.run(report), peer.run())]
    await asyncio.wait(
        {*work, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    for task in work:
        if task.done():
            task.result()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(run())
