"""The record of the session, in a file of the session directory."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pyglue import strict_json
from pyglue.api.turn_events import Log
from pyglue.api.turns import TurnOutcome
from pyglue.files.replace import replace_file
from pyglue.harness.claude.events import Emit, Tally
from pyglue.harness.claude.fresh import remembered
from pyglue.harness.claude.turn import Ended
from pyglue.strict_json import JsonError

_log = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True):
    """The record of the session between turns and restarts.

    ``id`` is None before a new session has begun; ``preface`` is the text before its
    first prompt. ``has_worked``: one of its turns succeeded. ``refused``: how often the
    API has refused to continue it since then. ``recent`` are its newest prompts.
    """

    id: str | None
    cost_usd: float = 0.0
    context_tokens: int = 0
    has_worked: bool = True
    refused: int = 0
    recent: tuple[str, ...] = ()
    preface: str = ""


@dataclass(kw_only=True)
class SessionStore:
    """Reads and writes the record; ``emit`` reports failed writes."""

    directory: Path
    emit: Emit
    kept: Kept | None = field(init=False)

    def __post_init__(self) -> None:
        self.kept = self._read()

    @property
    def id(self) -> str | None:
        """The session's ID; None before it has begun."""
        return None if self.kept is None else self.kept.id

    def forget(self) -> None:
        """Forget the session until the next ``keep``."""
        self.kept = None

    def keep(self, kept: Kept) -> None:
        """Store ``kept``; on a full disk, report it and keep it until a restart."""
        self.kept = kept
        try:
            replace_file(self._path, msgspec.json.encode(kept))
        except OSError as error:
            text = f"Cannot store the session: {error.strerror or error}."
            _log.warning("%s", text)
            self.emit(Log(text=text))

    def remember(self, session: str, tally: Tally, ended: Ended, prompt: str) -> None:
        """Store the state of the session after a turn over ``prompt``."""
        before = self.kept or Kept(None, has_worked=False)
        well = ended.outcome in (TurnOutcome.OK, TurnOutcome.COMPACTED)
        self.keep(
            Kept(
                session,
                ended.session_cost_usd or before.cost_usd,
                tally.context_tokens or before.context_tokens,
                has_worked=well or before.has_worked,
                refused=0 if well else before.refused,
                recent=remembered(before.recent, prompt),
            )
        )

    def transcript(self, session: str) -> Path:
        """Return the CLI's file of a session, existing or not."""
        found = (self.directory / "projects").glob(f"*/{session}.jsonl")
        return next(found, self.directory / "projects" / f"{session}.jsonl")

    @property
    def _path(self) -> Path:
        return self.directory / "hive-session.json"

    def _read(self) -> Kept | None:
        try:
            return strict_json.read(self._path.read_bytes(), Kept)
        except (OSError, JsonError):
            return None
