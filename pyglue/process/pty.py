"""A login shell on a PTY of its own, for terminals."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

from pyglue.process.session import kill_session


class PtyShell:
    """A shell in a session of its own; ``master`` is our end, and does not block.

    The caller closes ``master`` and calls ``wait`` at the end.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        """Start the shell with exactly this environment.

        Raises:
            OSError: there is no free PTY, or no such directory.
        """
        self.master, inside = pty.openpty()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "pyglue.process.login_shell"],
                stdin=inside,
                stdout=inside,
                stderr=inside,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        except OSError:
            os.close(self.master)
            raise
        finally:
            os.close(inside)
        os.set_blocking(self.master, False)

    def resize(self, columns: int, rows: int) -> None:
        """Inform the programs of the size of the window."""
        fcntl.ioctl(
            self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0)
        )

    def kill(self) -> None:
        """End the shell and its whole session; it is no error if it has ended."""
        if self._child.returncode is None:
            kill_session(self._child.pid)

    def wait(self) -> int:
        """Block until the shell has ended; return its exit code (negative: signal)."""
        return self._child.wait()
