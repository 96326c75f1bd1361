"""The users of a hive that root starts by hand: user IDs without a passwd entry.

Each hive has its own block, so that two hives on a machine share no user. The block is
derived from the state directory's path and recorded in it, so that it stays the same
when the directory is moved. All blocks are outside the ranges of distributions, systemd
and containers (/etc/subuid).
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyglue.config import Ids
from pyglue.files.replace import replace_file

FIRST: Final = 1_900_000_000
BLOCK: Final = 1024
BLOCKS: Final = 200_000
"""They end below 2,104,800,000; systemd's UIDS-GIDS reserves no users there."""
_AGENTS: Final = 16
_FILE: Final = "users"


def local_ids(state: Path) -> Ids:
    """Return the users of the hive in ``state``, which must exist; as root."""
    file = state / _FILE
    first = _read(file)
    if first is None:
        digest = hashlib.sha256(os.fsencode(state)).digest()
        first = FIRST + int.from_bytes(digest[:8], "big") % BLOCKS * BLOCK
        replace_file(file, f"{first}\n".encode())
    return Ids(
        group=first,
        web=first + 1,
        relay=first + 2,
        notify=first + 4,
        egress=first + 5,
        agent=first + _AGENTS,
        agents=BLOCK - _AGENTS,
    )


def model_user(ids: Ids) -> int:
    """Return the user of the scripted model, which belongs to no group of the hive."""
    return ids.relay + 1


def _read(file: Path) -> int | None:
    """Return the recorded number, if it is the first of a block."""
    with suppress(OSError, ValueError):
        number = int(file.read_text("ascii"))
        if FIRST <= number < FIRST + BLOCK * BLOCKS and (number - FIRST) % BLOCK == 0:
            return number
    return None
