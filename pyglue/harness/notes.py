"""Shortens ``/state/notes.md`` when it has grown past the manifest's limit.

A short session of its own, without tools and without the agent's conversation, is
given the file and answers with a shorter one. The old file stays beside it as
``notes.md.bak``. ``loop`` calls this between turns; a file that could not be
shortened is left alone until it changes.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from pyglue import paths
from pyglue.api.agent import TurnEventKind, TurnOutcome
from pyglue.harness.events import Tally
from pyglue.harness.options import CliOptions, replace_file
from pyglue.harness.turn import Cancellation, run_turn

_READ_LIMIT: Final = 1024 * 1024
_LINE: Final = "-" * 40

_log = logging.getLogger(__name__)


class Notes:
    """The notes file of one agent."""

    def __init__(self, options: CliOptions, state: Path, *, max_bytes: int) -> None:
        """``max_bytes`` is the size up to which the file is left alone."""
        self._options = options
        self._file = state / "notes.md"
        self._max_bytes = max_bytes
        self._seen: int | None = None
        """When the file last changed that could not be shortened."""

    def are_long(self) -> bool:
        """Tell whether the file is to be shortened."""
        try:
            found = self._file.stat()
        except OSError:
            return False
        return found.st_size > self._max_bytes and found.st_mtime_ns != self._seen

    async def shorten(self, *, model: str, cancellation: Cancellation) -> bool:
        """Rewrite the file; tell whether that was done. Failures are logged."""
        changed = None
        try:
            changed = self._file.stat().st_mtime_ns
            old = await asyncio.to_thread(self._read)
            new = await self._ask(old, model, cancellation)
            if new is not None:
                replace_file(self._file.with_name("notes.md.bak"), old)
                replace_file(self._file, new)
                return True
        except (OSError, UnicodeDecodeError) as error:
            _log.warning("the notes cannot be shortened: %s", error)
        if cancellation.reason is None:
            self._seen = changed
        return False

    def _read(self) -> str:
        with self._file.open("rb") as file:
            return file.read(_READ_LIMIT).decode()

    async def _ask(
        self, old: str, model: str, cancellation: Cancellation
    ) -> str | None:
        """Return a shorter text, None if there was none."""
        system = (paths.share() / "prompts" / "compact-notes.md").read_text("utf-8")
        tally = Tally(_unheard)
        prompt = f"The notes:\n{_LINE}\n{old}\n{_LINE}"
        options = self._options.notes(model=model, system=system)
        ended = await run_turn(options, prompt, tally, cancellation)
        new = tally.text.strip() + "\n"
        if ended.outcome is not TurnOutcome.OK or not new.strip():
            _log.warning("the notes were not shortened: %s", ended.reason)
            return None
        if len(new.encode()) >= len(old.encode()):
            _log.warning("the notes did not become shorter")
            return None
        return new


def _unheard(kind: TurnEventKind, data: dict[str, Any]) -> None:
    """Drop an event: this is no turn of the agent's."""
