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
    """A shell in its own session; ``master`` is our end, and is non-blocking.

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
        """Set the window size, of which the programs are informed."""
        fcntl.ioctl(
            self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0)
        )

    def kill(self) -> None:
        """Kill the shell and its whole session. Idempotent."""
        if self._child.returncode is None:
            kill_session(self._child.pid)

    def wait(self) -> int:
        """Block until the shell has ended; return its exit code (negative: signal)."""
        return self._child.wait()
