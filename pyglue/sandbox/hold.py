"""Holds a program back in its sandbox until the host has completed the mounts.

Run by path, inside: ``python -I -S hold.py READY GO PROGRAM ARGUMENTS...``. By then,
bubblewrap has mounted everything; this reports it on the descriptor READY, and runs the
program once GO delivers data or its end. See ``admit``.
"""

import os
import sys

if __name__ == "__main__":
    ready, go = int(sys.argv[1]), int(sys.argv[2])
    os.write(ready, b".")
    os.close(ready)
    os.read(go, 1)
    os.close(go)
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 (an argument list, no shell)
