"""What the scripted model sends: answers, streams and errors in the API's shapes."""

import asyncio
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from pyglue.demo.playbook import Request, Step, ToolCall

_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def fault(step: Step) -> web.Response:
    """Return an error by the API, or by anything between it and us."""
    if step.raw is None:
        return error(step.status or 500, step.type, step.message, step.headers)
    headers = {"content-type": step.content_type, **step.headers}
    body = step.raw.encode()
    return web.Response(status=step.status or 200, headers=headers, body=body)


def error(
    status: int, kind: str | None, message: str | None, headers: Mapping[str, str]
) -> web.Response:
    """Return an error of the API; without a ``kind``, the one that goes with it."""
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
        thinking = {"thinking": step.thinking, "signature": "c2ln"}
        blocks.append({"type": "thinking", **thinking})
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
    read, written = step.input_tokens, step.output_tokens
    return {
        "input_tokens": asked.size // 4 if read is None else read,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": step.cache_read,
        "output_tokens": len(json.dumps(blocks)) // 4 if written is None else written,
    }


def whole(asked: Request, step: Step) -> dict[str, Any]:
    """Return a message as one JSON object."""
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


async def stream(
    request: web.Request, asked: Request, step: Step
) -> web.StreamResponse:
    """Send a message event by event, with the delays of ``step``."""
    response = web.StreamResponse(
        headers={"content-type": "text/event-stream", **step.headers}
    )
    await response.prepare(request)

    async def event(kind: str, **data: Any) -> None:  # noqa: ANN401
        line = json.dumps({"type": kind, **data})
        await response.write(f"event: {kind}\ndata: {line}\n\n".encode())

    message = whole(asked, step)
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
