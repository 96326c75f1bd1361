"""Answers in place of the model's: by the API, a proxy or the network.

Each is a step of the scripted model.
"""

import json
from typing import Any, Final

Step = dict[str, Any]


def error(status: int, message: str = "no", **more: Any) -> Step:
    """Return an error in the API's own form."""
    return {"status": status, "message": message, **more}


def raw(body: str, kind: str = "text/event-stream", **more: Any) -> Step:
    """Return a body as it is, with status 200 unless another is given."""
    return {"raw": body, "content_type": kind, **more}


def _events(*events: tuple[str, dict[str, Any]]) -> str:
    lines = (
        f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"
        for kind, data in events
    )
    return "".join(lines)


_START: Final[tuple[str, dict[str, Any]]] = (
    "message_start",
    {
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "haiku",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    },
)
_HTML: Final = "<!doctype html><title>Sign in</title><p>Welcome to the hotel's network."
_JSON: Final = "application/json"
_OVERLOADED: Final = {"error": {"type": "overloaded_error", "message": "Overloaded"}}
_OPENAI: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [{"message": {"role": "assistant", "content": "hi"}}],
}

NOT_THE_MAILS: Final[dict[str, Step]] = {
    **{f"{n}": error(n) for n in (401, 402, 403, 404, 405, 406, 407, 408, 409, 410)},
    **{f"{n}": error(n) for n in (421, 423, 425, 426, 429, 431, 451, 498, 499)},
    **{f"{n}": error(n) for n in (500, 501, 502, 503, 504, 507, 520, 522, 524, 529)},
    "400-credit": error(400, "Your credit balance is too low"),
    "403-html": raw(_HTML, "text/html", status=403),
    "404-html": raw(_HTML, "text/html", status=404),
    "407-html": raw(_HTML, "text/html", status=407),
    "502-html": raw("<h1>502 Bad Gateway</h1>", "text/html", status=502),
    "503-empty": raw("", "text/plain", status=503),
    "200-html": raw(_HTML, "text/html"),
    "200-html-as-events": raw(_HTML),
    "200-empty": raw(""),
    "200-empty-json": raw("", _JSON),
    "200-text": raw("OK", "text/plain"),
    "200-null": raw("null", _JSON),
    "200-json-object": raw("{}", _JSON),
    "200-json-array": raw("[]", _JSON),
    "200-cut-json": raw('{"id": "msg_1", "type": "mess', _JSON),
    "200-another-api": raw(json.dumps(_OPENAI), _JSON),
    "200-another-api-events": raw(f"data: {json.dumps(_OPENAI)}\n\ndata: [DONE]\n\n"),
    "200-not-json-events": raw("event: message_start\ndata: {oops\n\n"),
    "200-unknown-event": raw(_events(("hello", {"a": 1}))),
    "200-only-start": raw(_events(_START)),
    "200-only-stop": raw(_events(("message_stop", {}))),
    "200-no-message": raw(_events(("message_start", {}), ("message_stop", {}))),
    "200-error-event": raw(_events(_START, ("error", _OVERLOADED))),
    "200-cut-block": {"text": "a longer answer that is cut", "cut": True},
    "200-binary": raw("\x00\x01\x02", "application/octet-stream"),
    "200-pings": raw(_events(("ping", {})) * 3),
}
"""Answers that any other message would get too."""
RECOVERS: Final = frozenset({"200-cut-block"})
"""Those after which the CLI asks again by itself, and gets the whole answer."""
COLD: Final = (
    *("402", "405", "407-html", "409"),
    *("200-html", "200-cut-json", "200-only-start"),
)
"""One of each kind that the real CLI is given in cold turns; ``recorded`` has its word
on all."""
WARM: Final = (
    *("425", "451", "200-empty", "200-another-api", "200-error-event"),
    *sorted(RECOVERS),
)
"""Those that it is given in warm turns."""
REAL: Final = (*COLD, *(name for name in WARM if name not in RECOVERS))
"""All kinds, where the CLI is not the one that was recorded."""
FINE: Final[Step] = {"text": "fine"}
"""What ends a turn well."""
