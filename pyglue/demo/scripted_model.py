"""A scripted stand-in of the Messages API on loopback: the model of demo and tests.

Stateless: what it answers depends only on the request. A step list comes from the
first rule of a script file whose ``match`` (a regular expression) is found in the
newest text of the user, or from a line ``SCRIPT: [...]`` in that text itself; step i
answers when i assistant messages follow the text. A step holds any of

    text, tool + input, tools, thinking         what the model says and calls
    status, type, message, times, headers       an error, for the first ``times`` tries
    sleep, chunk_sleep, cut                     slow, word by word, broken off (seconds)
    input_tokens, output_tokens, cache_read     usage
    stop                                        another stop_reason

In strings, ``{{result:REGEX}}`` is the first group found in this turn's tool results,
newest first; ``{{user:REGEX}}`` and ``{{system:REGEX}}`` look in those texts;
``{{model}}`` is the model's name.
"""

import argparse
import asyncio
import json
import re
import signal
import socket
import sys
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

_MAX_BODY: Final = 64 * 1024 * 1024
_PLACE: Final = re.compile(r"\{\{(result|user|system|model)(?::(.*?))?\}\}", re.DOTALL)
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_SUMMARY: Final = "<summary>A scripted summary of the conversation.</summary>"


class ToolCall(msgspec.Struct, frozen=True):
    """One tool call of a step."""

    tool: str
    input: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer; see the module's docstring."""

    text: str | None = None
    tool: str | None = None
    input: dict[str, Any] = {}
    tools: tuple[ToolCall, ...] = ()
    thinking: str | None = None
    status: int | None = None
    type: str | None = None
    message: str | None = None
    times: int = 2**31
    headers: dict[str, str] = {}
    sleep: float = 0.0
    chunk_sleep: float = 0.0
    cut: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read: int = 0
    stop: str | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps for a text of the user (and, if given, a system prompt) that matches."""

    match: str
    steps: tuple[Step, ...]
    system: str | None = None


class Script(msgspec.Struct, frozen=True):
    """A script file; other fields are others' business."""

    rules: tuple[Rule, ...] = ()
    default: str = "OK."


@dataclass(frozen=True)
class Request:
    """What of a request decides the answer."""

    model: str
    system: str
    user: str
    results: tuple[str, ...]
    index: int
    stream: bool
    size: int

    def fill(self, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """Return ``value`` with every place holder in its strings filled."""
        if isinstance(value, str):
            return _PLACE.sub(self._find, value)
        if isinstance(value, Mapping):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self.fill(item) for item in value]
        return value

    def _find(self, place: re.Match[str]) -> str:
        kind, pattern = place[1], place[2] or ""
        if kind == "model":
            return self.model
        texts = {
            "result": self.results,
            "user": (self.user,),
            "system": (self.system,),
        }[kind]
        for text in texts:
            found = re.search(pattern, text)
            if found is not None:
                return found[1] if found.re.groups else found[0]
        return f"(nothing matches {pattern})"


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else []
    return [str(b.get("text", "")) for b in blocks if b.get("type") == "text"]


def _results(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found: list[str] = []
    for message in messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_result":
                found += _texts(block.get("content"))
    return tuple(reversed(found))


def read_request(body: Mapping[str, Any], size: int) -> Request:
    """Find the newest real text of the user and what came after it."""
    messages = body.get("messages", [])
    start, user = 0, ""
    for index, message in enumerate(messages):
        texts = [
            text
            for text in _texts(message.get("content"))
            if message.get("role") == "user" and "<system-reminder>" not in text
        ]
        if any(text.strip() for text in texts):
            start, user = index, "\n".join(texts)
    later = messages[start + 1 :]
    return Request(
        model=str(body.get("model")),
        system="\n".join(_texts(body.get("system"))),
        user=user,
        results=_results(later),
        index=sum(message.get("role") == "assistant" for message in later),
        stream=body.get("stream") is True,
        size=size,
    )


def choose(script: Script, request: Request) -> Step:
    """Return the step that answers ``request``."""
    if "create a detailed summary" in request.user:
        return Step(text=_SUMMARY)
    steps = _inline(request.user)
    if steps is None:
        for rule in script.rules:
            if re.search(rule.match, request.user) and (
                rule.system is None or re.search(rule.system, request.system)
            ):
                steps = rule.steps
                break
    if steps is None or request.index >= len(steps):
        return Step(text=script.default)
    return steps[request.index]


def _inline(text: str) -> tuple[Step, ...] | None:
    begin = text.rfind("SCRIPT:")
    if begin < 0:
        return None
    try:
        raw, _ = json.JSONDecoder().raw_decode(text[begin + len("SCRIPT:") :].lstrip())
        return msgspec.convert(raw, tuple[Step, ...])
    except (ValueError, msgspec.ValidationError) as error:
        return (Step(text=f"The script is not right: {error}"),)


class ScriptedModel:
    """The server. ``address`` is known after ``start``; ``bodies`` what it was sent."""

    def __init__(
        self, script: Script | None = None, *, log: Path | None = None
    ) -> None:
        self.address = ""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._script = script or Script()
        self._log = log
        self._tries: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None

    async def start(self, *, port: int = 0, fd: int | None = None) -> None:
        """Listen on loopback, or on the bound socket ``fd``; port 0 is a free one."""
        app = web.Application(client_max_size=_MAX_BODY)
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

    async def _head(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _count(self, request: web.Request) -> web.Response:
        raw = await request.read()
        return web.json_response({"input_tokens": max(1, len(raw) // 4)})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            return _error(400, None, "The body is not JSON.", {})
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        asked = read_request(body, len(raw))
        step = choose(self._script, asked)
        self._note(asked, step)
        await asyncio.sleep(step.sleep)
        if step.status is not None:
            key = f"{asked.user}\n{asked.index}"
            self._tries[key] += 1
            if self._tries[key] <= step.times:
                return _error(step.status, step.type, step.message, step.headers)
            step = Step(text=self._script.default)
        if asked.stream:
            return await _stream(request, asked, step)
        return web.json_response(_whole(asked, step))

    def _note(self, asked: Request, step: Step) -> None:
        if self._log is not None:
            line = {"model": asked.model, "index": asked.index, "step": step}
            with self._log.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")


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


def _blocks(asked: Request, step: Step) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if step.thinking is not None:
        thinking = asked.fill(step.thinking)
        blocks.append({"type": "thinking", "thinking": thinking, "signature": "c2ln"})
    if step.text is not None:
        blocks.append({"type": "text", "text": asked.fill(step.text)})
    calls = (ToolCall(step.tool, step.input),) if step.tool is not None else ()
    for call in (*calls, *step.tools):
        blocks.append(
            {
                "type": "tool_use",
                "id": f"toolu_{uuid.uuid4().hex[:20]}",
                "name": call.tool,
                "input": asked.fill(call.input),
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
    blocks = _blocks(asked, step)
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
    if arguments.script is not None:
        script = msgspec.json.decode(arguments.script.read_bytes(), type=Script)
    model = ScriptedModel(script, log=arguments.log)
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
    parser.add_argument("--log", type=Path, help="append a line for each request")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
