"""A scripted stand-in of the Messages API on loopback: the model of demo and tests.

Stateless except for counting tries: an answer depends only on the request and the
script (``playbook``). ``python -m pyglue.demo.scripted_model --script FILE`` prints its
address, and requires the key in ``SCRIPTED_MODEL_KEY`` if that is set; tests use
``ScriptedModel`` in their event loop, or ``in_thread``.
"""

import argparse
import asyncio
import contextlib
import hmac
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from pyglue import startup, strict_json
from pyglue.demo.answers import error, fault, stream, whole
from pyglue.demo.playbook import (
    KEY_VARIABLE,
    Script,
    Step,
    choose,
    read_request,
)
from pyglue.strict_json import JsonError

_MAX_BODY: Final = 64 * 1024 * 1024
_DROP_S: Final = 0.01
"""How long ``stop`` waits for running answers; for aiohttp, 0 means forever."""


class ScriptedModel:
    """The server. ``address`` is known after ``start``.

    ``bodies`` and ``headers`` are those of received requests, unless ``keep`` is False;
    ``counted`` is the number of requests to count tokens. ``log`` gets a line for each
    request, ``requests`` the complete request. Without a ``key`` it answers everybody.
    ``script`` may be replaced while it runs.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        log: Path | None = None,
        requests: Path | None = None,
        keep: bool = True,
        key: str | None = None,
    ) -> None:
        self.address = ""
        self.bodies: list[dict[str, Any]] = []
        self.counted = 0
        self.headers: list[dict[str, str]] = []
        self.script = script or Script()
        self._log = log
        self._requests = requests
        self._keep = keep
        self._key = key
        self._number = 0
        self._arrived = asyncio.Condition()
        self._tries: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None

    async def start(self, *, port: int = 0, fd: int | None = None) -> None:
        """Listen on loopback, or on the bound socket ``fd``; port 0 is a free one."""
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[self._guard])
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count)
        app.router.add_route("HEAD", "/", self._head)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DROP_S)
        await self._runner.setup()
        site: web.BaseSite = web.TCPSite(self._runner, "127.0.0.1", port)
        if fd is not None:
            site = web.SockSite(self._runner, socket.socket(fileno=fd))
        await site.start()
        taken = self._runner.addresses[0][1]
        self.address = f"http://127.0.0.1:{taken}"

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def received(self, number: int) -> None:
        """Return when ``number`` requests for a message have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._number >= number)

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Refuse requests without the key: others can connect to loopback too."""
        # Spaces around a value are no part of it; not every aiohttp drops them.
        shown = request.headers.get("x-api-key", "").strip().encode()
        if self._key is not None and not hmac.compare_digest(shown, self._key.encode()):
            return error(401, None, "Wrong API key: it changes with each start.", {})
        return await handler(request)

    async def _head(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _count(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.counted += 1
        return web.json_response({"input_tokens": max(1, len(raw) // 4)})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = strict_json.read(raw, dict[str, Any])
        except JsonError:
            return error(400, None, "The body is not JSON.", {})
        async with self._arrived:
            self._number += 1
            if self._keep:
                self.bodies.append(body)
                self.headers.append(dict(request.headers))
            self._arrived.notify_all()
        asked = read_request(body, len(raw))
        step = choose(self.script, asked)
        _append(self._log, {"model": asked.model, "index": asked.index, "step": step})
        _append(self._requests, body)
        await asyncio.sleep(step.sleep)
        if step.status is not None or step.raw is not None:
            key = f"{asked.user}\n{asked.index}"
            self._tries[key] += 1
            due = asked.continued or not step.continued
            if due and self._tries[key] <= step.times:
                return fault(step)
            step = Step(text=step.text or self.script.default)
        if asked.stream:
            try:
                return await stream(request, asked, step)
            except ConnectionResetError:
                return error(499, None, "The client disconnected.", {})
        return web.json_response(whole(asked, step))


@contextlib.contextmanager
def in_thread(script: Script | None = None) -> Iterator[ScriptedModel]:
    """Serve in a thread of its own, for tests without an event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> ScriptedModel:
        model = ScriptedModel(script)
        await model.start()
        return model

    model = asyncio.run_coroutine_threadsafe(begin(), loop).result()
    try:
        yield model
    finally:
        asyncio.run_coroutine_threadsafe(model.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _append(file: Path | None, line: object) -> None:
    if file is not None:
        with file.open("ab") as opened:
            opened.write(msgspec.json.encode(line) + b"\n")


async def _serve(arguments: argparse.Namespace) -> None:
    script = Script()
    if arguments.script_fd is not None:
        with os.fdopen(arguments.script_fd, "rb") as file:
            script = strict_json.read(file.read(), Script, what="script")
    elif arguments.script is not None:
        script = strict_json.read(arguments.script.read_bytes(), Script, what="script")
    model = ScriptedModel(
        script,
        log=arguments.log,
        requests=arguments.requests,
        keep=False,
        key=os.environ.get(KEY_VARIABLE),
    )
    await model.start(port=arguments.port, fd=arguments.fd)
    sys.stdout.write(f"listening on {model.address}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await model.stop()


def main() -> None:
    """Serve until SIGTERM."""
    startup.done()
    parser = argparse.ArgumentParser(prog="scripted_model")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--fd", type=int, help="descriptor of a socket to listen on")
    parser.add_argument("--script", type=Path, help="JSON file with rules")
    parser.add_argument("--script-fd", type=int, help="descriptor of an open such file")
    parser.add_argument("--log", type=Path, help="append a line for each request")
    parser.add_argument("--requests", type=Path, help="append each request's body")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
