"""Evaluate an agent's directory to its manifest, once, without trusting it.

Called by ``proposals`` (in hived, as root on NixOS) and ``hive manifest``. Nix is
restricted to the agent's directory and the hive's modules: no other files, no network,
no builds during evaluation, no store, no search path, no flakes, no configuration of
this machine. Memory, CPU time, wall time and output are limited. The result is not
trusted either: ``manifest.schema.validate`` follows. The clock that agent.nix sees is
stopped at 0 (modules/eval/fixed.nix); the result is pinned anyway, and never evaluated
again.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.evaluation import OUTPUT_MAX, SUBJECT, Evaluation, failed, read_result
from pyglue.nix.failure import RESTRICTED, Limits, program
from pyglue.nix.fence import Fence, Seen
from pyglue.nix.log import EvalError, Problem, Roots, read_printed
from pyglue.nix.source import unreadable
from pyglue.nix.waiting import AGENT, Waiting
from pyglue.paths import share
from pyglue.process import Rlimits
from pyglue.process.spare import Spare

_MEMORY_MAX: Final = 1536 * 1024 * 1024
_FLAGS: Final = (
    *("--eval", "--strict", "--json", "--store", "dummy://"),
    *RESTRICTED,
)


class Evaluator:
    """Evaluates directories; one per process. Create it with ``of`` or directly.

    ``timeout`` is in seconds of wall time and of CPU; ``nixpkgs_lib`` is nixpkgs or its
    ``lib`` directory, None means the built-in subset.
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        nixpkgs_lib: Path | None = None,
    ) -> None:
        self._timeout = timeout
        self._limits = Limits(SUBJECT, timeout, _MEMORY_MAX)
        self._lib = nixpkgs_lib
        self._fence: Fence | None = None
        self.spare = Spare(self._start)

    @classmethod
    def of(cls, config: HiveConfig) -> "Evaluator":
        """Return the evaluator for a hive's configuration."""
        lib = config.nixpkgs_lib
        return cls(
            timeout=config.timeouts.evaluate_s,
            nixpkgs_lib=None if lib is None else Path(lib),
        )

    def check(self) -> None:
        """Check that everything it needs exists. Blocking, about 30 ms the first time.

        Raises:
            HiveError: ``missing_program`` or ``config_invalid``, with what to do.
        """
        program()
        self._lib_directory()
        self.fence()

    @property
    def sandboxed(self) -> bool:
        """Whether Nix runs in bubblewrap here; known after ``check``."""
        return self._fence is not None and self._fence.sandboxed

    async def evaluate(
        self, directory: Path, *, commit: str | None = None
    ) -> Evaluation:
        """Evaluate the agent in ``directory``, which this process can read.

        ``commit``, from which it was exported, is named in problems.

        Raises:
            EvalError: ``eval_failed`` with the problems; ``eval_limit``.
            HiveError: ``missing_program``, ``config_invalid``, ``too_large``.
        """
        await asyncio.to_thread(_check_files, directory)
        waiting = await _made(lambda: self._start(directory.absolute()))
        try:
            return await self._finish(waiting, commit)
        finally:
            await asyncio.to_thread(waiting.discard)

    @asynccontextmanager
    async def tree(self) -> AsyncIterator["Tree"]:
        """Yield an empty directory for the files of an agent, to be evaluated once.

        Raises:
            HiveError: ``missing_program``, ``config_invalid``, ``unavailable``.
        """
        waiting = await _made(self.spare.take)
        try:
            yield Tree(waiting.directory, partial(self._finish, waiting))
        finally:
            await asyncio.to_thread(waiting.discard)

    def _start(self, directory: Path | None = None) -> Waiting:
        directories = {"modules": share() / "modules"}
        lib = self._lib_directory()
        if lib is not None:
            directories["lib"] = lib
        if directory is not None:
            directories[AGENT] = directory
        return Waiting.start(
            self.fence(),
            directories,
            _arguments,
            timeout=self._timeout,
            limits=Rlimits(
                address_space=_MEMORY_MAX,
                cpu_s=max(1, math.ceil(self._timeout)),
                file_size=0,
            ),
            max_output=OUTPUT_MAX,
        )

    async def _finish(self, waiting: Waiting, commit: str | None) -> Evaluation:
        roots = replace(_roots(waiting.seen), commit=commit)
        try:
            done = await waiting.finish(f"import {roots.modules}/eval/evaluate.nix")
        except HiveError as error:
            if error.code == ErrorCode.TIMEOUT:
                raise self._limits.too_long() from error
            if error.code == ErrorCode.TOO_LARGE:
                raise _too_much_output() from error
            raise
        if done.code != 0:
            raise self._limits.explain(done, roots)
        found = read_result(done.stdout, roots)
        return replace(found, printed=read_printed(done.stderr, roots))

    def fence(self) -> Fence:
        """Return the fence around Nix. The first call chooses it, and blocks."""
        fence = self._fence
        if fence is None:
            fence = self._fence = Fence(program())
        return fence

    def _lib_directory(self) -> Path | None:
        if self._lib is None:
            return None
        for candidate in (self._lib / "lib", self._lib):
            if (candidate / "default.nix").is_file():
                return candidate.resolve()
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"{self._lib} is not nixpkgs: lib/default.nix is missing. Name a "
            "directory of nixpkgs, or leave it out to use the built-in subset of its "
            "lib.",
        )


@dataclass(frozen=True)
class Tree:
    """An empty ``directory`` for an agent's files; ``evaluate`` them once."""

    directory: Path
    _finish: Callable[[str | None], Awaitable[Evaluation]]

    async def evaluate(self, *, commit: str | None = None) -> Evaluation:
        """Evaluate the files, as ``Evaluator.evaluate`` does."""
        await asyncio.to_thread(_check_files, self.directory)
        return await self._finish(commit)


async def _made(make: Callable[[], Waiting]) -> Waiting:
    """Call ``make`` in a thread; discard its result if the caller is cancelled."""
    making = asyncio.get_running_loop().run_in_executor(None, make)
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(_discard)
        raise


def _discard(made: asyncio.Future[Waiting]) -> None:
    if made.exception() is None:
        made.result().discard()


def _check_files(directory: Path) -> None:
    """Refuse what Nix need not see. Blocking."""
    if not (directory / "agent.nix").is_file():
        raise failed(
            [Problem(file="agent.nix", line=None, column=None, message="no such file")]
        )
    unclear = unreadable(directory)
    if unclear:
        raise failed(list(unclear))


def _arguments(inside: Mapping[str, str]) -> list[str]:
    """Return the arguments of a Nix that reads its expression from its input."""
    arguments = [*_FLAGS]
    for name, path in inside.items():
        arguments += ["-I", f"{name}={path}"]
    arguments += ["-", "--argstr", "agent", inside[AGENT]]
    if "lib" in inside:
        arguments += ["--argstr", "lib", inside["lib"]]
    return arguments


def _roots(seen: Seen) -> Roots:
    inside = seen.inside
    return Roots(
        agent=inside["agent"],
        modules=inside["modules"],
        lib=inside.get("lib"),
        directory=seen.real["agent"],
    )


def _too_much_output() -> EvalError:
    return EvalError(
        ErrorCode.EVAL_LIMIT,
        f"The manifest of agent.nix exceeds {OUTPUT_MAX} bytes. Shorten its texts "
        "and lists.",
    )
