"""Shortens ``/state/notes.md`` when it has grown beyond the manifest's limit.

A short, separate session, without tools and without the agent's conversation, receives
the file and answers with a shorter one. The old file is kept as ``notes.md.bak``.
``loop`` calls this between turns; a file that could not be shortened is not tried again
until it changes.
"""

import asyncio
import errno
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue import paths
from pyglue.api.turn_events import AnyLiveEvent
from pyglue.api.turns import TurnOutcome
from pyglue.files.replace import replace_file
from pyglue.harness.claude.events import Tally
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.claude.turn import Cancellation, run_turn

_READ_LIMIT: Final = 1024 * 1024
_LINE: Final = "-" * 40
_WRITERS: Final = frozenset({"Bash", "Edit", "Write"})
SAVE: Final = (
    "[from the hive itself: no message, nothing to answer]\n"
    "Your conversation is about to be shortened. Write what you must not forget, and "
    "what is not there yet, into /state/notes.md: whom you work for and on what, open "
    "ends, agreements, decisions and why. Do nothing else, send nothing, and end the "
    "turn."
)
"""The prompt of the turn before a compaction."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Notes:
    """The notes file of one agent; up to ``max_bytes`` it is not changed."""

    options: CliOptions
    state: Path
    max_bytes: int
    tools: Collection[str]
    _seen: int | None = field(default=None, init=False)
    """Modification time of a file that could not be shortened."""

    @property
    def _file(self) -> Path:
        return self.state / "notes.md"

    @property
    def can_be_written(self) -> bool:
        """Whether the agent has a tool to write its notes with."""
        return not _WRITERS.isdisjoint(self.tools)

    def are_long(self) -> bool:
        """Return whether the file should be shortened."""
        try:
            found = self._file.stat()
        except OSError:
            return False
        return found.st_size > self.max_bytes and found.st_mtime_ns != self._seen

    async def shorten(self, *, model: str, cancellation: Cancellation) -> str | None:
        """Rewrite the file; return a sentence about the outcome, None if cancelled.

        The old text is saved first; the file is replaced atomically.
        """
        changed = None
        try:
            changed = self._file.stat().st_mtime_ns
            old = await asyncio.to_thread(self._read)
            new, problem = await self._ask(old, model, cancellation)
            if new is not None and self._file.stat().st_mtime_ns != changed:
                return (
                    "The notes changed while they were being shortened, and are left "
                    "as they are."
                )
            if new is not None:
                replace_file(self._file.with_name("notes.md.bak"), old.encode())
                replace_file(self._file, new.encode())
                return "Shortened the notes; notes.md.bak has the old ones."
        except (OSError, UnicodeDecodeError) as error:
            problem = str(error)
        if cancellation.reason is not None:
            return None
        self._seen = changed
        _log.warning("could not shorten the notes: %s", problem)
        return f"The notes could not be shortened and are unchanged: {problem}"

    def _read(self) -> str:
        with self._file.open("rb") as file:
            data = file.read(_READ_LIMIT + 1)
        if len(data) > _READ_LIMIT:
            raise OSError(errno.EFBIG, f"more than {_READ_LIMIT} bytes")
        return data.decode()

    async def _ask(
        self, old: str, model: str, cancellation: Cancellation
    ) -> tuple[str | None, str]:
        """Return a shorter text, or None and the reason."""
        system = (paths.share() / "prompts" / "compact-notes.md").read_text("utf-8")
        tally = Tally(emit=_unheard)
        prompt = f"The notes:\n{_LINE}\n{old}\n{_LINE}"
        options = self.options.notes(model=model, system=system)
        ended = await run_turn(options, prompt, tally, cancellation)
        new = tally.text.strip() + "\n"
        if ended.outcome is not TurnOutcome.OK:
            return None, ended.reason or ended.outcome.value
        if not new.strip():
            return None, "the answer was empty."
        if len(new.encode()) >= len(old.encode()):
            return None, "the result is not shorter."
        return new, ""


def _unheard(event: AnyLiveEvent) -> None:
    """Drop an event: this is not a turn of the agent."""
