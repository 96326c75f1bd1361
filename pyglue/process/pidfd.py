"""Kills a process by its descriptor, because its PID may have been reused."""

import contextlib
import select
import signal


def kill(descriptor: int, within_s: float) -> bool:
    """Kill the process of a pidfd; return whether it exited within ``within_s`` s.

    Blocks, because the kernel tears a process down after the signal.

    Raises:
        PermissionError: we may not kill it.
    """
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    dead = select.poll()  # select() accepts no descriptor above 1,023
    dead.register(descriptor, select.POLLIN)
    return bool(dead.poll(within_s * 1000))
