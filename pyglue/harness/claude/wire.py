"""The lines of the CLI's protocol: requests and answers in both directions."""

import os
from typing import Any, Final

import msgspec

from pyglue import strict_json
from pyglue.harness.claude.launch import Launch

BOUNDARY: Final = "boundary"
"""The hook that the CLI calls when all tool calls of one answer have ended."""
NO_ANSWER: Final = msgspec.Raw(b'{"jsonrpc":"2.0","result":{}}')


class CliError(Exception):
    """The CLI cannot be started, has exited, or does not answer."""


class Asked(msgspec.Struct, frozen=True):
    """A control request of the CLI."""

    subtype: str
    server_name: str = ""
    message: msgspec.Raw = msgspec.Raw(b"{}")
    callback_id: str = ""
    input: Any = None


class Line(msgspec.Struct, frozen=True):
    """Any line of its output."""

    type: str
    request_id: str = ""
    request: msgspec.Raw = msgspec.Raw(b"{}")
    response: msgspec.Raw = msgspec.Raw(b"{}")


class Answer(msgspec.Struct, frozen=True):
    """Its answer to a control request."""

    request_id: str
    subtype: str
    response: dict[str, Any] | None = None
    error: str = "unknown error"


read_line = strict_json.reader(Line, what="line of the CLI")


def initialize(launch: Launch) -> dict[str, Any]:
    """Return the first control request, which names the hooks."""
    hooks: dict[str, list[dict[str, Any]]] = {}
    for number, hook in enumerate(launch.hooks):
        asked = {"matcher": hook.matcher, "hookCallbackIds": [f"hook_{number}"]}
        hooks.setdefault(hook.event, []).append(asked)
    if launch.steers:
        hooks["PostToolBatch"] = [{"matcher": "", "hookCallbackIds": [BOUNDARY]}]
    return {"subtype": "initialize", "hooks": hooks or None}


def user_line(text: str) -> dict[str, Any]:
    """Return the line that gives the model ``text`` as a user message."""
    return {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "session_id": "default",
    }


def environment(launch: Launch) -> dict[str, str]:
    """Return the CLI's whole environment, as for a program that drives it."""
    inherited = {k: v for k, v in os.environ.items() if k != "CLAUDECODE"}
    return {
        **inherited,
        "CLAUDE_CODE_ENTRYPOINT": "sdk-py",
        **launch.env,
        "PWD": str(launch.cwd),
    }


def raw(line: bytes) -> msgspec.Raw:
    """Return a line of JSON as a part of another one."""
    return msgspec.Raw(line.rstrip(b"\n"))
