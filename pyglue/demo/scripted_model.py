"""A scripted stand-in of the Messages API on loopback: the model of demo and tests.

Stateless but for counting tries: what it answers depends only on the request and the
script (``playbook``). ``python -m pyglue.demo.scripted_model --script FILE`` prints
where it listens, and asks for the key in ``SCRIPTED_MODEL_KEY`` if that is set; tests
use ``ScriptedModel`` in their event loop, or ``in_thread``.
"""

import argparse
import asyncio
import contextlib
import hmac
import json
import os
import re
import signal
import socket
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from pyglue import strict_json
from pyglue.demo.playbook import (
    KEY_VARIABLE,
    Request,
    Script,
    Step,
    ToolCall,
    choose,
    read_request,
)
from pyglue.strict_json import JsonError

_MAX_BODY: Final = 64 * 1024 * 1024
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class ScriptedModel:
    """The server. ``address`` is known after ``start``.

    ``bodies`` and ``headers`` are what it was sent, unless ``keep`` is False;
    ``counted`` is how often it was asked to count. ``log`` gets a line for each
    request, ``requests`` the whole of it. Without a ``key`` it answers everybody.
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
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
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
        """Answer nobody without the key: others can connect to loopback too."""
        # Spaces around a value are no part of it; not every aiohttp drops them.
        shown = request.headers.get("x-api-key", "").strip().encode()
        if self._key is not None and not hmac.compare_digest(shown, self._key.encode()):
            return _error(401, None, "Wrong API key: it changes with each start.", {})
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
            return _error(400, None, "The body is not JSON.", {})
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
                return _fault(step)
            step = Step(text=step.text or self.script.default)
        if asked.stream:
            try:
                return await _stream(request, asked, step)
            except ConnectionResetError:
                return _error(499, None, "The client disconnected.", {})
        return web.json_response(_whole(asked, step))


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


def _fault(step: Step) -> web.Response:
    """Return an error of the API, or whatever else stands between it and us."""
    if step.raw is None:
        return _error(step.status or 500, step.type, step.message, step.headers)
    headers = {"content-type": step.content_type, **step.headers}
    body = step.raw.encode()
    return web.Response(status=step.status or 200, headers=headers, body=body)


def _error(
    status: int, kind: str | None, message: str | None, headers: Mapping[str, str]
) -> web.Response:
    kind = kind or _ERROR_TYPES.get(status, "api_error")
    error = {"type": kind, "message": message or kind}
    return web.json_response(
        {"type": "error", "error": error, "request_id": "req_scripted"},
        status=status,
        headers=headers,
    )


def _blocks(step: Step) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if step.thinking is not None:
        said = {"thinking": step.thinking, "signature": "c2ln"}
        blocks.append({"type": "thinking", **said})
    if step.text is not None:
        blocks.append({"type": "text", "text": step.text})
    calls = (ToolCall(step.tool, step.input),) if step.tool is not None else ()
    for call in (*calls, *step.tools):
        blocks.append(
            {
                "type": "tool_use",
                "id": f"toolu_{uuid.uuid4().hex[:20]}",
                "name": call.tool,
                "input": call.input,
            }
        )
    return blocks


def _usage(asked: Request, step: Step, blocks: list[dict[str, Any]]) -> dict[str, int]:
    given, said = step.input_tokens, step.output_tokens
    return {
        "input_tokens": asked.size // 4 if given is None else given,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": step.cache_read,
        "output_tokens": len(json.dumps(blocks)) // 4 if said is None else said,
    }


def _whole(asked: Request, step: Step) -> dict[str, Any]:
    blocks = _blocks(step)
    calls = any(block["type"] == "tool_use" for block in blocks)
    return {
        "id": f"msg_{uuid.uuid4().hex[:20]}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": blocks,
        "stop_reason": step.stop or ("tool_use" if calls else "end_turn"),
        "stop_sequence": None,
        "usage": _usage(asked, step, blocks),
    }


def _deltas(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a block as it starts empty, and the pieces that fill it."""
    if block["type"] == "text":
        words = re.findall(r"\S+\s*|\s+", block["text"]) or [""]
        return {"type": "text", "text": ""}, [
            {"type": "text_delta", "text": word} for word in words
        ]
    if block["type"] == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}, [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    partial = json.dumps(block["input"])
    return {**block, "input": {}}, [
        {"type": "input_json_delta", "partial_json": partial}
    ]


async def _stream(
    request: web.Request, asked: Request, step: Step
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"content-type": "text/event-stream", **step.headers}
    )
    await response.prepare(request)

    async def event(kind: str, **data: Any) -> None:  # noqa: ANN401
        line = json.dumps({"type": kind, **data})
        await response.write(f"event: {kind}\ndata: {line}\n\n".encode())

    message = _whole(asked, step)
    blocks, usage = message["content"], message["usage"]
    opening = {**message, "content": [], "stop_reason": None}
    await event(
        "message_start", message={**opening, "usage": {**usage, "output_tokens": 1}}
    )
    for index, block in enumerate(blocks):
        empty, deltas = _deltas(block)
        await event("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            await event("content_block_delta", index=index, delta=delta)
            if step.chunk_sleep:
                await asyncio.sleep(step.chunk_sleep)
        if step.cut:
            if request.transport is not None:
                request.transport.abort()
            return response
        await event("content_block_stop", index=index)
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    await event("message_delta", delta=delta, usage=usage)
    await event("message_stop")
    return response


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
