"""Progress reports during long tool calls, for clients that give up on silence.

``hive-mcp`` wraps its server's tools in this: a parked ``recv`` is silent for three
minutes, and clients treat one minute of silence as a failure. The harness does not need
it: the CLI waits for in-process tools, and forwards no progress from them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

EVERY_S: Final = 15.0
_CALL: Final = "tools/call"

Report = Callable[[float, str], Awaitable[None]]


def add_progress(server: Any, every_s: float = EVERY_S) -> None:  # noqa: ANN401
    """Let every tool call report progress to a client that asked for it.

    ``server`` is a low-level server of either major version of ``mcp``.
    """
    if hasattr(server, "add_request_handler"):
        _modern(server, every_s)
    else:
        _legacy(server, every_s)


def _modern(server: Any, every_s: float) -> None:  # noqa: ANN401
    entry = server.get_request_handler(_CALL)

    async def call(context: Any, params: Any) -> Any:  # noqa: ANN401
        async def report(seconds: float, text: str) -> None:
            await context.session.report_progress(seconds, None, text)

        async with _beating(report, every_s):
            return await entry.handler(context, params)

    server.add_request_handler(_CALL, entry.params_type, call)


def _legacy(server: Any, every_s: float) -> None:  # noqa: ANN401
    kinds = {kind.__name__: kind for kind in server.request_handlers}
    kind = kinds["CallToolRequest"]
    inner = server.request_handlers[kind]

    async def call(request: Any) -> Any:  # noqa: ANN401
        context = server.request_context
        token = None if context.meta is None else context.meta.progressToken

        async def report(seconds: float, text: str) -> None:
            if token is not None:
                await context.session.send_progress_notification(
                    token, seconds, message=text
                )

        async with _beating(report, every_s):
            return await inner(request)

    server.request_handlers[kind] = call


@contextlib.asynccontextmanager
async def _beating(report: Report, every_s: float) -> AsyncIterator[None]:
    async def beat() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            await asyncio.sleep(every_s)
            seconds = round(loop.time() - begun, 1)
            await report(seconds, f"Still waiting after {seconds:g} s.")

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
