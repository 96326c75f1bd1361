"""Answers an MCP client: what this server is, its tools, and calls to them.

Calls run concurrently, up to a limit: hived accepts only so many per connection, and
the rest wait here. A long call reports progress to a client that asked for it, because
a ``recv`` may be silent for three minutes, and clients treat one minute of silence as a
failure.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from pyglue import __version__, strict_json
from pyglue.limits import AGENT_RPC
from pyglue.mcp import wire
from pyglue.mcp.stdio import LINE_MAX
from pyglue.mcp.wire import Id, Incoming, RefusedError
from pyglue.strict_json import JsonError
from pyglue.tools import HIVE, RESULT_CHARS, Caller, Tool

T = TypeVar("T")

EVERY_S: Final = 15.0
VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""The protocol versions that this server speaks; the last one answers an unknown one.
They do not differ in what it offers."""
_AT_ONCE: Final = AGENT_RPC.outstanding // 2
"""Concurrent calls; hived counts calls that are being cancelled, too."""

_log = logging.getLogger(__name__)


class _Initialize(msgspec.Struct, frozen=True, rename="camel"):
    protocol_version: str


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    progress_token: Id | None = None


class _Call(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, Any] | None = None
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)


class _Cancelled(msgspec.Struct, frozen=True, rename="camel"):
    request_id: Id


class McpServer:
    """Serves tools to one client."""

    def __init__(
        self,
        *,
        tools: Sequence[Tool],
        caller: Caller,
        instructions: str = "",
        write: Callable[[bytes], None] | None = None,
        every_s: float = EVERY_S,
    ) -> None:
        """``write`` gets the lines for the client; None: the caller wants only answers.

        ``every_s`` is the interval of progress reports in seconds.
        """
        self._tools = {tool.name: tool for tool in tools}
        self._caller = caller
        self._instructions = instructions
        self._write = write or _unheard
        self._progresses = write is not None
        self._every_s = every_s
        self._running: dict[Id, asyncio.Task[bytes]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._methods: dict[str, Callable[[msgspec.Raw], Awaitable[object]]] = {
            "initialize": self._initialize,
            "ping": self._ping,
            "tools/list": self._list,
            "tools/call": self._call,
        }

    def take(self, line: bytes | None) -> None:
        """Accept a line from the client; None is a line that was too long."""
        try:
            if line is None:
                text = f"The line is longer than {LINE_MAX} bytes."
                raise RefusedError(wire.PARSE_ERROR, text)
            task = self._task(line)
        except RefusedError as refused:
            self._write(wire.error(refused))
            return
        if task is not None:
            task.add_done_callback(self._written)

    async def answer(self, line: bytes) -> bytes | None:
        """Return the answer to ``line``; None if it has none."""
        try:
            task = self._task(line)
        except RefusedError as refused:
            return wire.error(refused)
        if task is None:
            return None
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        return None if task.cancelled() else task.result()

    async def finish(self) -> None:
        """Answer the requests that the client sent before it closed its end."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _written(self, task: asyncio.Task[bytes]) -> None:
        if not task.cancelled():
            self._write(task.result())

    def _task(self, line: bytes) -> asyncio.Task[bytes] | None:
        """Return the future answer to ``line``, if it needs one."""
        incoming = wire.decode(line)
        return None if incoming is None else self._handle(incoming)

    def _handle(self, incoming: Incoming) -> asyncio.Task[bytes] | None:
        request, method, params = incoming
        if request is None:
            if method == "notifications/cancelled":
                with contextlib.suppress(RefusedError):
                    self._cancel(_decode(params, _Cancelled).request_id)
            return None
        if request in self._running:
            text = f"Invalid request: the id {request!r} is in use."
            raise RefusedError(wire.INVALID_REQUEST, text, request)
        answer = self._methods.get(method)
        if answer is None:
            text = f"There is no method {method[:60]!a}; this server offers tools."
            raise RefusedError(wire.METHOD_NOT_FOUND, text, request)
        task = asyncio.create_task(self._answer(request, answer(params)))
        self._running[request] = task
        task.add_done_callback(lambda _: self._running.pop(request, None))
        return task

    def _cancel(self, request: Id) -> None:
        task = self._running.get(request)
        if task is not None:
            task.cancel()  # no answer follows, as the protocol requires

    async def _answer(self, request: Id, answer: Awaitable[object]) -> bytes:
        try:
            return wire.result(request, await answer)
        except RefusedError as refused:
            return wire.error(RefusedError(refused.code, refused.message, request))
        except Exception:
            _log.exception("a request failed")
            text = "This failed inside the hive's tools; the log has the details."
            return wire.error(RefusedError(wire.INTERNAL_ERROR, text, request))

    # --- methods ----------------------------------------------------------------------

    async def _initialize(self, params: msgspec.Raw) -> object:
        wanted = _decode(params, _Initialize).protocol_version
        return {
            "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": {"name": HIVE, "version": __version__},
            **({"instructions": self._instructions} if self._instructions else {}),
        }

    async def _ping(self, _params: msgspec.Raw) -> object:
        return {}

    async def _list(self, _params: msgspec.Raw) -> object:
        return {
            "tools": [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "inputSchema": tool.schema,
                    "_meta": {"anthropic/maxResultSizeChars": RESULT_CHARS},
                }
                for tool in self._tools.values()
            ]
        }

    async def _call(self, params: msgspec.Raw) -> object:
        call = _decode(params, _Call)
        tool = self._tools.get(call.name)
        if tool is None:
            text = f"There is no tool {call.name[:60]!a}; tools/list names them."
            raise RefusedError(wire.INVALID_PARAMS, text)
        async with self._progress(call.meta.progress_token), self._turn:
            answer = await tool.call(self._caller, call.arguments or {})
        return {
            "content": [{"type": "text", "text": answer.text}],
            "isError": answer.is_error,
        }

    @contextlib.asynccontextmanager
    async def _progress(self, token: Id | None) -> AsyncIterator[None]:
        """Report at intervals that the call is running, if the client asked for it."""
        if token is None or not self._progresses:
            yield
            return
        task = asyncio.create_task(self._beat(token))
        try:
            yield
        finally:
            task.cancel()

    async def _beat(self, token: Id) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            await asyncio.sleep(self._every_s)
            seconds = round(loop.time() - begun, 1)
            params = {
                "progressToken": token,
                "progress": seconds,
                "message": f"Still waiting after {seconds:g} s.",
            }
            self._write(wire.notification("notifications/progress", params))


def _unheard(_line: bytes) -> None:
    """Discard unsolicited lines."""


def _decode(params: msgspec.Raw, shape: type[T]) -> T:
    try:
        return strict_json.read(params, shape, what="parameters")
    except JsonError as error:
        raise RefusedError(wire.INVALID_PARAMS, error.message) from error
