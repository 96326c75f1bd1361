"""Runs hived again and again, each time until it kills itself at a chosen step.

``python -m checks.e2e.kit.killed_hived CONFIG PLAN`` forks a hived for each line of its
input. The file PLAN has ``{"kind": …, "step": …, "how": …}``, which may change while
that hived lives: where an operation of that kind does
that step it is killed by SIGKILL once the step's work is done and before anybody knows
(``after``), or before it has begun (``before``), or the step fails before its work
(``fail``) or after it (``fail-late``), and it is killed after the step ``then``, if
any. ``ready`` and ``killed`` (or ``ended CODE``) are printed as they happen. The
product has no hook for this: handlers are wrapped as they are handed to
``Operations.start``. What is imported once is shared by all forks, which is what makes
a hundred deaths cheap.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from checks.kits.host.hived import play
from pyglue.api.operations import Operation, OperationKind
from pyglue.errors import ErrorCode, HiveError
from pyglue.host import main as hived
from pyglue.host.core.operations import Handler, Operations

_DYING_S: Final = 10.0


class Deadly:
    """A machine that dies, or fails, at one step of one kind of operation."""

    def __init__(self, inner: Handler, plan: Path) -> None:
        self.steps = inner.steps
        self._inner = inner
        self._file = plan

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do the step, unless it is the one."""
        plan = json.loads(self._file.read_bytes())
        chosen = (plan.get("kind"), plan.get("step"))
        how = plan.get("how") if chosen == (operation.kind.value, step) else None
        if how == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "fail":
            self._fail(step, plan)
        then = await self._inner.run(operation, step)
        if how == "fail-late":
            self._fail(step, plan)
        if how == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return then

    def _fail(self, step: str, plan: Mapping[str, str]) -> NoReturn:
        then = {**plan, "step": plan.get("then", ""), "how": "after"}
        self._file.write_text(json.dumps(then))
        raise HiveError(ErrorCode.UNAVAILABLE, f"The test fails {step}.")

    def recover(self, step: str) -> str | None:
        """Mend as always."""
        return self._inner.recover(step)


def _live(config: str, plan: Path) -> None:
    start = Operations.start

    async def deadly(
        self: Operations, handlers: Mapping[OperationKind, Handler]
    ) -> frozenset[str]:
        wrapped: dict[OperationKind, Any] = {
            kind: Deadly(machine, plan) for kind, machine in handlers.items()
        }
        return await start(self, wrapped)

    play()
    Operations.start = deadly  # type: ignore[method-assign]
    sys.argv = ["hived", "--config", config]
    hived.main()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _wait(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        _say("killed")
    else:
        _say(f"ended {os.waitstatus_to_exitcode(status)}")


def _until_ready(listening: socket.socket, child: int) -> None:
    """Return when it is ready, or died before it could say so."""
    with os.fdopen(os.pidfd_open(child), "rb") as ended:
        waiting: list[Any] = [listening, ended]
        while True:
            found, _, _ = select.select(waiting, [], [])
            if listening not in found or b"READY=1" in listening.recv(4096):
                return


def main(config: str, plan: Path) -> None:
    """Serve until stdin ends."""
    room = Path(tempfile.mkdtemp())
    notified = room / "notify"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(notified))
    os.environ["NOTIFY_SOCKET"] = str(notified)
    child = 0
    waiter: threading.Thread | None = None
    for _line in sys.stdin:
        if waiter is not None:
            waiter.join(_DYING_S)
            if waiter.is_alive():  # of a test that failed: the next one begins anew
                os.kill(child, signal.SIGKILL)
                waiter.join()
        child = os.fork()
        if child == 0:
            os.close(0)
            _live(config, plan)
            os._exit(0)
        _until_ready(listening, child)
        _say("ready")
        waiter = threading.Thread(target=_wait, args=(child,))
        waiter.start()
    if waiter is not None and waiter.is_alive():
        os.kill(child, signal.SIGTERM)
        waiter.join()
    listening.close()
    notified.unlink()
    room.rmdir()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
