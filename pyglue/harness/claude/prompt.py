"""Renders messages as the prompt of a turn.

Every message begins with a header line by the hive, so no prompt can begin with ``/``
and be mistaken for a command of the CLI. Bodies are hostile: lines that look like a
header, or like the CLI's own ``<system-reminder>``, are marked, so that nobody can pose
as someone else. ``prompts/agent.md`` explains both to the model.
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
    """Return whether a reader could take ``line`` for a line of the hive or the CLI.

    There are many look-alike letters, so any bracket, word and number matches.
    """
    shown = (c for c in line if c.isprintable() and unicodedata.category(c)[0] != "M")
    seen = unicodedata.normalize("NFKC", "".join(islice(shown, _LOOKED_AT)))
    return _FORGED.match(seen.strip()) is not None
