"""A Nix that is started before its expression is known.

Most of the time of a small evaluation is Nix's own start, and that of the sandbox. So
the program is started with its flags, limits and directories, and reads its expression
from standard input; the directory of the agent may be filled until then. One is kept
ready for the next proposal (``evaluator``). It has evaluated nothing before, and is
never used twice.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.nix.fence import ENVIRONMENT, Fence, Seen
from pyglue.process import Completed, Rlimits, Standby

AGENT: Final = "agent"
"""The name of the agent's directory among those that Nix sees."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A waiting Nix, and what it sees: finish it at most once, always discard it."""

    _program: Standby
    _directories: contextlib.ExitStack
    seen: Seen

    @classmethod
    def start(
        cls,
        fence: Fence,
        directories: Mapping[str, Path],
        arguments: Callable[[Mapping[str, str]], Sequence[str]],
        *,
        timeout: float,
        limits: Rlimits,
        max_output: int,
    ) -> "Waiting":
        """Start Nix with ``arguments``, made from the paths that it sees. Blocking.

        Without an ``agent`` among ``directories``, it gets an empty one to be filled.
        ``timeout`` is in seconds from ``finish`` on, ``max_output`` in bytes.

        Raises:
            HiveError: ``too_large``, ``missing_program``, ``unavailable``, what
                ``sandbox.prepare`` raises.
        """
        empty = None if AGENT in directories else AGENT
        with contextlib.ExitStack() as stack:
            seen = stack.enter_context(fence.seeing(directories, empty=empty))
            with fence.launch(seen, arguments(seen.inside)) as launch:
                program = Standby(
                    launch.argv,
                    env=ENVIRONMENT,
                    timeout=timeout,
                    limits=limits,
                    run_as=launch.run_as,
                    pass_fds=launch.pass_fds,
                    max_output=max_output,
                )
            return cls(_program=program, _directories=stack.pop_all(), seen=seen)

    @property
    def alive(self) -> bool:
        """Whether Nix is running."""
        return self._program.alive

    @property
    def directory(self) -> Path:
        """Where the files of the agent are, or are to be written."""
        return self.seen.real[AGENT]

    async def finish(self, expression: str) -> Completed:
        """Make Nix evaluate ``expression``, and return the result of the program.

        Raises:
            HiveError: ``timeout``, ``too_large``.
        """
        return await self._program.finish(expression.encode())

    def discard(self) -> None:
        """End it if it is still waiting, and remove its directories. Blocking."""
        self._program.discard()
        self._directories.close()
