"""Hold a program back in its sandbox until the host has made the rest of it.

Run by path, inside: ``python -I -S hold.py READY GO PROGRAM ARGUMENTS...``. Everything
that bubblewrap mounts is there by now; it says so on the descriptor READY, and runs the
program when something, or the end, comes from GO. See ``admit``.
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
