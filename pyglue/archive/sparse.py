"""How much of a file is data: an agent can create a file of any size at no cost.

``writer`` asks before it reads: otherwise zeros that are not on the disk would be read,
hashed and packed, for hours. Uses SEEK_DATA and SEEK_HOLE, which also distinguish holes
from data that a file system has compressed.
"""

import errno
import os
from typing import Final

HOLES_MAX: Final = 64 * 1024
"""Bytes of holes that any file may have."""
_PIECES_MAX: Final = 10_000


def is_mostly_holes(descriptor: int, size: int) -> bool:
    """Return whether a file has more holes than data, and more than a few."""
    data = position = 0
    for _ in range(_PIECES_MAX):
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            os.lseek(descriptor, 0, os.SEEK_SET)
            if error.errno != errno.ENXIO:  # ENXIO: no data from there on
                return False  # this file system does not report holes
            return size - data > max(data, HOLES_MAX)
        data += position - start
        if position >= size:
            break
    os.lseek(descriptor, 0, os.SEEK_SET)
    return size - data > max(data, HOLES_MAX)
