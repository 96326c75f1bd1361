"""What an agent is told that goes on in a fresh session, since its old one is over.

The old transcript stays where it is and is named; the notes and the last messages are
given again.
"""

from pathlib import Path
from typing import Final

from pyglue.harness.claude.events import clip

RECENT: Final = 5
"""Messages, or groups of them, that are given again."""
RECENT_CHARS: Final = 4000
_NOTES_CHARS: Final = 16 * 1024
_LINE: Final = "-" * 40


def preface(why: str, *, transcript: Path, notes: Path, recent: tuple[str, ...]) -> str:
    """Return what goes before the first prompt of the fresh session."""
    opening = (
        "[from the hive itself]\n"
        f"Your earlier conversation ended, and this is a new one. {why}\n"
        f"Its transcript is kept at {transcript}. What follows are your notes and "
        "the last messages that you were given before; you may have answered them "
        "already."
    )
    parts = [opening, _section("Your notes (notes.md)", _read(notes))]
    parts += [_section("An earlier message", one) for one in recent]
    parts.append("[from the hive itself] What is new comes now.\n\n")
    return "\n\n".join(parts)


def remembered(recent: tuple[str, ...], prompt: str) -> tuple[str, ...]:
    """Return the newest prompts, each cut to what is given again."""
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
