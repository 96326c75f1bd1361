"""Build an approved system; no part of it is built or fetched earlier.

Called by the ``nixos-container`` backend during a deploy. Builds run in Nix's sandbox,
which the host's settings cannot disable by mistake, under a limit of wall time;
cancelling ends the client and thereby the daemon's builds. The output of a build is
hostile: it goes to ``log`` line by line, bounded and made visible, and nowhere else.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hoststore import HostStore, check_path, is_derivation
from pyglue.process import Child, describe_exit, find_program
from pyglue.text.display import visible

_LINE_MAX: Final = 500
_LINES_MAX: Final = 20_000
_TAIL: Final = 30
_GRACE_S: Final = 10.0


class Builder:
    """Builds derivations in the host's store; one per hived.

    ``timeout`` is in seconds for a whole system. ``sandbox`` False is for tests.
    """

    def __init__(
        self,
        *,
        timeout: float,
        sandbox: bool = True,
        store: HostStore | None = None,
    ) -> None:
        self._timeout = timeout
        self._sandbox = sandbox
        self._store = store or HostStore()

    async def realise(self, drv: str, *, root: Path, log: Callable[[str], None]) -> str:
        """Build ``drv`` and return its store path, kept by the GC root ``root``.

        ``log`` is called in the event loop with each line of output.

        Raises:
            HiveError: ``build_failed`` with the end of the log; the errors of a
                program that cannot be started.
        """
        if not is_derivation(drv):
            raise HiveError(
                ErrorCode.INTERNAL, "The approved system is not a derivation."
            )
        lines: deque[str] = deque(maxlen=_TAIL)
        count = 0

        def on_line(text: str) -> None:
            nonlocal count
            count += 1
            shown = visible(text, limit=_LINE_MAX)
            lines.append(shown)
            if count <= _LINES_MAX:
                log(shown)
            elif count == _LINES_MAX + 1:
                log(f"[more than {_LINES_MAX} lines; the rest was dropped]")

        await asyncio.to_thread(root.parent.mkdir, parents=True, exist_ok=True)
        child = Child.start(
            self._command(drv, root), env=self._store.environment, on_line=on_line
        )
        try:
            async with asyncio.timeout(self._timeout):
                code = await child.wait()
        except TimeoutError as error:
            raise _failed(
                f"It did not finish within {self._timeout:g} s and was stopped.", lines
            ) from error
        finally:
            await child.terminate(_GRACE_S)
        if code != 0:
            raise _failed(f"Nix failed with {describe_exit(code)}.", lines)
        return await self._built(root)

    def _command(self, drv: str, root: Path) -> list[str]:
        return [
            *(find_program("nix-store"), "--realise", drv),
            *("--add-root", str(root)),
            *("--option", "sandbox", "true" if self._sandbox else "false"),
            *("--option", "sandbox-fallback", "false"),
            *("--option", "keep-failed", "false"),
            *("--timeout", str(max(1, int(self._timeout)))),
        ]

    async def _built(self, root: Path) -> str:
        """Read the path from the GC root: the output of a build is not trusted."""
        return check_path(str(await asyncio.to_thread(root.readlink)))


def _failed(why: str, lines: deque[str]) -> HiveError:
    tail = tuple(lines)
    text = "\n".join(tail)
    return HiveError(
        ErrorCode.BUILD_FAILED,
        f"Could not build the system. {why} End of the log:\n{text}",
        details={"log": list(tail)},
    )
