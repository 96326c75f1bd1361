"""Finds places whose paths a user cannot traverse, and the wrapper that shows them.

Used by ``spec`` for agents and by ``hive run`` for the web and relay processes: root's
hive may be below a directory that only root may enter. See ``expose``.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyglue.process import RunAs

_EXPOSE: Final = Path(__file__).resolve().with_name("expose.py")


def reach(places: Mapping[Path, int | None], run_as: RunAs | None) -> tuple[str, ...]:
    """Return the wrapper of a command line with which ``run_as`` reaches ``places``.

    Empty if none is needed. A place may have an open descriptor that identifies it;
    pass that on. The wrapper must start as root.
    """
    if run_as is None or os.geteuid() != 0:
        return ()
    closed: dict[Path, None] = {}
    shown: dict[Path, int | None] = {}
    for place, descriptor in places.items():
        real = place if descriptor is not None else place.resolve()
        top = _closed_above(real, run_as)
        if top is not None:
            closed[top] = None
            shown[real] = descriptor
    if not closed:
        return ()
    tops = [str(top) for top in sorted(closed)]
    # Outer places first, or they would cover the inner ones.
    plan = {"closed": tops, "shown": [[str(p), shown[p]] for p in sorted(shown)]}
    python = str(Path(sys.executable).resolve())
    return (python, "-I", "-S", str(_EXPOSE), json.dumps(plan))


def _closed_above(place: Path, run_as: RunAs) -> Path | None:
    """Return the outermost directory on the path that ``run_as`` cannot enter."""
    for passage in reversed(place.parents):
        try:
            status = passage.stat()
        except OSError:
            return None
        if status.st_uid == run_as.uid:
            passes = status.st_mode & 0o100
        elif status.st_gid in (run_as.gid, *run_as.groups):
            passes = status.st_mode & 0o010
        else:
            passes = status.st_mode & 0o001
        if not passes:
            return passage
    return None
