"""hived's notes about an agent's container: its claim, and the last run it saw.

Used by the ``nixos-container`` backend. They are in the agent's private directory, out
of reach of containers: ``container.json``, and ``systems/`` with the GC roots of the
agent's systems. Everything blocks.
"""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.files.replace import write_file
from pyglue.paths import Layout
from pyglue.strict_json import JsonError

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Seen:
    """The last run that hived saw, and systemd's restart count of the unit."""

    run: str | None = None
    restarts: int = 0


class _Note(msgspec.Struct, frozen=True):
    boot: str = ""
    run: str | None = None
    restarts: int = 0


class Ownership:
    """Claims, last runs and systems, by agent."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._boot = _BOOT_ID.read_text().strip()

    def systems(self, agent: str) -> Path:
        """Return the directory with the GC roots of the agent's systems."""
        return self._layout.private(agent) / "systems"

    def claimed(self, agent: str) -> bool:
        """Return whether hived created, or was about to create, the container."""
        return self._file(agent).exists()

    def claim(self, agent: str) -> None:
        """Record that the container is the hive's, before it is created."""
        if not self.claimed(agent):
            self._write(agent, _Note(boot=self._boot))

    def remember(self, agent: str, seen: Seen) -> None:
        """Record the last run, for the next hived of this boot."""
        if self._layout.private(agent).is_dir():
            note = _Note(boot=self._boot, run=seen.run, restarts=seen.restarts)
            self._write(agent, note)

    def seen(self, agent: str) -> Seen:
        """Return the last run seen in this boot."""
        try:
            note = strict_json.read(self._file(agent).read_bytes(), _Note)
        except (OSError, JsonError):
            return Seen()
        if note.boot != self._boot:
            return Seen()
        return Seen(note.run, note.restarts)

    def keep_newest(self, agent: str, count: int) -> None:
        """Release all but the ``count`` newest systems to the garbage collector."""
        with contextlib.suppress(FileNotFoundError):
            roots = sorted(
                self.systems(agent).iterdir(), key=lambda root: root.lstat().st_mtime_ns
            )
            for old in roots[:-count]:
                old.unlink()

    def release(self, agent: str) -> None:
        """Forget the container and its systems."""
        shutil.rmtree(self.systems(agent), ignore_errors=True)
        self._file(agent).unlink(missing_ok=True)

    def _file(self, agent: str) -> Path:
        return self._layout.private(agent) / "container.json"

    def _write(self, agent: str, note: _Note) -> None:
        self._layout.private(agent).mkdir(parents=True, exist_ok=True)
        write_file(self._file(agent), msgspec.json.encode(note), mode=0o600)
