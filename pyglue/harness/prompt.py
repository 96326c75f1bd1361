"""Renders mail as the prompt of a turn.

Every message begins with a header line that the hive wrote, so no prompt can begin
with ``/`` and be taken for a command of the CLI. Bodies are hostile: a line of one
that looks like a header is marked, so that nobody can put words into another's
mouth. ``prompts/agent.md`` tells the model of both.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from pyglue.api.agent import Message

_HEADER: Final = "[message "
_MARK: Final = "> "


def render(messages: Iterable[Message]) -> str:
    """Return the prompt for a turn over ``messages``."""
    return "\n\n".join(f"{_header(m)}\n{_body(m.body)}" for m in messages)


def _header(message: Message) -> str:
    sent = datetime.fromtimestamp(int(message.sent_at), UTC)
    parts = [
        f"message {message.id} from {message.sender}",
        message.kind.value,
        sent.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ]
    if message.reply_to is not None:
        parts.append(f"reply to {message.reply_to}")
    if message.redelivered:
        parts.append("redelivered")
    return f"[{' · '.join(parts)}]"


def _body(text: str) -> str:
    # splitlines knows every character that may be shown as a line's end
    return "".join(
        _MARK + line if _looks_like_header(line) else line
        for line in text.splitlines(keepends=True)
    )


def _looks_like_header(line: str) -> bool:
    seen = "".join(c for c in line[:200] if c.isprintable()).lstrip().lower()
    return seen.startswith(_HEADER)
