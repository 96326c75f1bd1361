"""Renders messages as the prompt of a turn.

Every message begins with a header line that the hive wrote, so no prompt can begin
with ``/`` and be taken for a command of the CLI. Bodies are hostile: a line of one
that looks like a header, or like the CLI's own ``<system-reminder>``, is marked, so
that nobody can put words into another's mouth. ``prompts/agent.md`` tells the model
of both.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from pyglue.api.messages import Message

_FORGED: Final = re.compile(
    r"[\[({\u27e6\u3008-\u301b]\s*(?:message\b|from\s+the\s+hive\b|\w+[\s#]*[0-9])"
    r"|<\s*/?\s*system",
    re.I,
)
_LOOKED_AT: Final = 2000
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
    """Return whether a reader could take ``line`` for the hive's or the CLI's own.

    Look-alike letters are many, so any bracket, word and number will do.
    """
    shown = (c for c in line if c.isprintable() and unicodedata.category(c)[0] != "M")
    seen = unicodedata.normalize("NFKC", "".join(islice(shown, _LOOKED_AT)))
    return _FORGED.match(seen.strip()) is not None
