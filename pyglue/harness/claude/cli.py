"""A running CLI, and the protocol of its pipes: JSON, one message per line.

It receives prompts and reports on their turns. In between, both sides send *control
requests*: the CLI asks for the hive's tools and whether a tool may run, we ask it to
interrupt a turn and for the status of its MCP servers. ``turn`` runs turns over it,
``options`` determines how it is started.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from pyglue import strict_json
from pyglue.errors import HiveError
from pyglue.harness.claude.launch import Launch
from pyglue.harness.claude.serving import Serving
from pyglue.harness.claude.stream_json import Message, ResultMessage, message_of
from pyglue.harness.claude.wire import (
    Answer,
    CliError,
    environment,
    initialize,
    read_line,
    user_line,
)
from pyglue.process import Piped, describe_exit
from pyglue.strict_json import JsonError

_LINE_MAX: Final = 64 * 1024 * 1024
_START_S: Final = 60.0
"""Timeout of the first answer: the CLI waits for its MCP servers."""
_ANSWER_S: Final = 60.0
_GRACE_S: Final = 5.0
"""Time to write the session's file after its input has ended."""
_AHEAD: Final = 100
"""Most messages that are read ahead of their consumer."""
_PARTIAL: Final = b'{"type":"stream_event"'

_log = logging.getLogger(__name__)


class Cli:
    """One process of the CLI. Create it with ``Cli.start``, end it with ``close``."""

    def __init__(self, process: Piped, launch: Launch) -> None:
        self.process = process
        self._launch = launch
        self.heard = launch.stderr
        """Called with each line of its standard error."""
        self.serving: Final = Serving(launch=launch, write=self._write)
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._said: asyncio.Queue[Message | None] = asyncio.Queue(_AHEAD)
        self._over: CliError | None = None
        self._refusal: ResultMessage | None = None
        """The last thing that it said, if that was a failure."""
        self._tasks = (
            asyncio.create_task(self._read()),
            asyncio.create_task(self._read_errors()),
        )

    @classmethod
    async def start(cls, launch: Launch) -> "Cli":
        """Start it, and wait until it accepts prompts.

        Raises:
            CliError: It did not start, or exited immediately.
        """
        if launch.cli is None:
            raise CliError("Claude Code is not installed")
        try:
            process = await Piped.start(
                [str(launch.cli), *launch.arguments()],
                env=environment(launch),
                cwd=launch.cwd,
                line_max=_LINE_MAX,
            )
        except HiveError as error:
            raise CliError(error.message.removesuffix(".")) from error
        cli = cls(process, launch)
        try:
            await cli._ask(initialize(launch), within=_START_S)
        except BaseException:
            await cli.close()
            raise
        return cli

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code (negative: signal), None while it runs."""
        return self.process.returncode

    async def prompt(self, text: str) -> None:
        """Begin a turn.

        Raises:
            CliError: It is gone.
        """
        line = user_line(text)
        if self._launch.verbatim:
            line["client_composed"] = True
        await self._write(line)

    async def until_result(self) -> AsyncIterator[Message]:
        """Yield its messages up to the turn's result, or until it exits successfully.

        Raises:
            CliError: It ended otherwise.
        """
        async for message in self.messages():
            yield message
            if isinstance(message, ResultMessage):
                return

    async def messages(self) -> AsyncIterator[Message]:
        """Yield its messages until it exits successfully.

        Raises:
            CliError: It ended otherwise.
        """
        while True:
            message = await self._said.get()
            if message is None:
                self._said.put_nowait(None)  # for whoever asks again
                if self._over is not None:
                    raise self._over
                return
            yield message

    async def interrupt(self) -> None:
        """Request the end of the turn.

        Raises:
            CliError: It is gone, or does not answer.
        """
        await self._ask({"subtype": "interrupt"}, within=_ANSWER_S)

    async def servers(self) -> list[dict[str, Any]]:
        """Return the status of its MCP servers.

        Raises:
            CliError: It is gone, or does not answer.
        """
        status = await self._ask({"subtype": "mcp_status"}, within=_ANSWER_S)
        servers = status.get("mcpServers")
        return [dict(one) for one in servers] if isinstance(servers, list) else []

    async def close(self, grace_s: float = _GRACE_S) -> None:
        """End it, if it is still running; it may write its session's file first."""
        try:
            await self.process.close(grace_s)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(
                *self._tasks, self.serving.close(), return_exceptions=True
            )

    # --- reading ----------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while line := await self.process.stdout.readline():
                await self._take(line)
        except ValueError:
            self._over = CliError(f"it sent a line of more than {_LINE_MAX} bytes")
        except (JsonError, OSError) as error:
            self._over = CliError(f"its output cannot be read: {error}")
        else:
            self._over = self._why(await self.process.wait())
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._over or CliError("it has ended"))
        await self._said.put(None)

    async def _read_errors(self) -> None:
        with contextlib.suppress(OSError):
            while line := await _line_of(self.process.stderr):
                text = line.decode(errors="replace").rstrip()
                if text:
                    self.heard(text)

    def _why(self, code: int) -> CliError | None:
        if self._refusal is not None:
            refusal = self._refusal
            why = "; ".join(refusal.errors or []) or refusal.result or refusal.subtype
            return CliError(f"it returned an error: {why}")
        return None if code == 0 else CliError(f"it ended ({describe_exit(code)})")

    async def _take(self, line: bytes) -> None:
        if not line.startswith(b"{"):
            return  # some builds print lines of other kinds
        if line.startswith(_PARTIAL) and self._launch.partial is not None:
            return self._launch.partial(line)
        try:
            found = read_line(line)
        except JsonError:
            line = strict_json.with_whole_characters(line)
            found = read_line(line)
        match found.type:
            case "control_response":
                self._answered(strict_json.read(found.response, Answer))
            case "control_request":
                self.serving.begin(found)
            case "control_cancel_request":
                self.serving.cancel(found.request_id)
            case _:
                message = message_of(strict_json.read(line, dict[str, Any]))
                if message is not None:
                    await self._hear(message)

    async def _hear(self, message: Message) -> None:
        self._refusal = None
        if isinstance(message, ResultMessage) and message.is_error:
            self._refusal = message
        await self._said.put(message)

    def _answered(self, answer: Answer) -> None:
        waiting = self._waiting.get(answer.request_id)
        if waiting is None or waiting.done():
            return
        if answer.subtype == "success":
            waiting.set_result(answer.response or {})
        else:
            waiting.set_exception(CliError(f"it refused: {answer.error}"))

    # --- asking and answering ---------------------------------------------------------

    async def _ask(self, request: dict[str, Any], *, within: float) -> dict[str, Any]:
        number = f"hive_{next(self._numbers)}"
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            if self._over is not None or self._tasks[0].done():
                raise self._over or CliError("it has ended")
            await self._write(
                {"type": "control_request", "request_id": number, "request": request}
            )
            async with asyncio.timeout(within):
                answer: dict[str, Any] = await waiting
                return answer
        except TimeoutError:
            what = request["subtype"]
            raise CliError(f"it did not answer {what} in {within:g} s") from None
        finally:
            del self._waiting[number]
            waiting.cancel()

    async def _write(self, line: dict[str, Any]) -> None:
        if self.process.returncode is not None:
            raise self._over or CliError("it has ended")
        try:
            self.process.stdin.write(msgspec.json.encode(line) + b"\n")
            await self.process.stdin.drain()
        except (OSError, RuntimeError) as error:
            raise self._over or CliError(f"it takes no input: {error}") from error


async def _line_of(reader: asyncio.StreamReader) -> bytes:
    """Return a line, or the beginning of one that is too long."""
    try:
        return await reader.readline()
    except ValueError:
        return b"[a line that is too long]"
