"""The prompt that tells an agent why its session was replaced.

It names the old transcript, which is kept, and repeats the notes and the last messages.
"""

from pathlib import Path
from typing import Final

from pyglue.harness.claude.events import clip

RECENT: Final = 5
"""Messages, or groups of them, that are repeated."""
RECENT_CHARS: Final = 4000
_NOTES_CHARS: Final = 16 * 1024
_LINE: Final = "-" * 40


def preface(why: str, *, transcript: Path, notes: Path, recent: tuple[str, ...]) -> str:
    """Return the text before the first prompt of the new session."""
    opening = (
        "[from the hive itself]\n"
        f"Your earlier conversation ended, and this is a new one. {why}\n"
        f"Its transcript is kept at {transcript}. What follows are your notes and "
        "the last messages that you were given before; you may have answered them "
        "already."
    )
    parts = [opening, _section("Your notes (notes.md)", _read(notes))]
    parts += [_section("An earlier message", one) for one in recent]
    parts.append("[from the hive itself] New messages follow.\n\n")
    return "\n\n".join(parts)


def remembered(recent: tuple[str, ...], prompt: str) -> tuple[str, ...]:
    """Return the newest prompts, each truncated to the repeated length."""
    return (*recent, clip(prompt, RECENT_CHARS))[-RECENT:]


def _section(title: str, text: str) -> str:
    return f"{title}:\n{_LINE}\n{text}\n{_LINE}"


def _read(notes: Path) -> str:
    try:
        with notes.open("rb") as file:
            data = file.read(4 * _NOTES_CHARS)
    except OSError:
        return "(none)"
    return clip(data.decode(errors="replace"), _NOTES_CHARS) or "(none)"
