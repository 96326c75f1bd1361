"""The first program in a terminal: takes the PTY as its own and becomes a shell.

``PtyShell`` starts this with the PTY as its standard streams and in a session of its
own. It is a separate program because taking a controlling terminal between fork and
exec is not safe in a process with threads.
"""

import fcntl
import os
import shutil
import sys
import termios


def main() -> None:
    """Become the shell; exit with 127 if there is none."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for name in ("bash", "sh"):
        program = shutil.which(name)
        if program is not None:
            os.execv(program, [f"-{name}"])  # noqa: S606 - becoming it is the point
    sys.exit("There is no shell on PATH in this container.")


if __name__ == "__main__":
    main()
