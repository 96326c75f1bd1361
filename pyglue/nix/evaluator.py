"""Evaluate an agent's directory to its manifest, once, without trusting it.

Called by ``proposals`` (in hived, as root on NixOS) and ``hive manifest``. Nix is
restricted to the agent's directory and the hive's modules: no other files, no network,
no builds during evaluation, no store, no search path, no flakes, no configuration of
this machine. Memory, CPU time, wall time and output are limited. The result is not
trusted either: ``manifest_schema.validate`` follows. The clock that agent.nix sees is
stopped at 0 (modules/eval/fixed.nix); the result is pinned anyway, and never evaluated
again.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import read_json
from pyglue.nix.failure import RESTRICTED, Limits, program
from pyglue.nix.fence import ENVIRONMENT, Fence, Seen
from pyglue.nix.log import EvalError, Problem, Roots, read_said
from pyglue.nix.source import unreadable
from pyglue.paths import share
from pyglue.process import Completed, Rlimits, run

_OUTPUT_MAX: Final = 4 * 1024 * 1024
_MEMORY_MAX: Final = 1536 * 1024 * 1024
_OPTIONS_MAX: Final = 1000
_OPTION_LENGTH_MAX: Final = 500
_FLAGS: Final = (
    *("--eval", "--strict", "--json", "--store", "dummy://"),
    *RESTRICTED,
)
_SUBJECT: Final = "agent.nix"


@dataclass(frozen=True)
class Evaluation:
    """The manifest of a directory, not validated yet, and the NixOS options that it
    sets outside ``hyperhive``, as sorted paths.

    ``evaluated_at`` is the path under which Nix saw the directory; no agent ever sees
    it. ``said`` is what agent.nix made Nix print: traces and warnings, in the author's
    words.
    """

    manifest: Mapping[str, Any]
    nixos_options: tuple[str, ...]
    evaluated_at: str
    said: tuple[str, ...] = ()


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
        self._limits = Limits(_SUBJECT, timeout, _MEMORY_MAX)
        self._lib = nixpkgs_lib
        self._fence: Fence | None = None

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
        if not (directory / "agent.nix").is_file():
            problem = Problem("agent.nix", None, None, "no such file")
            raise _failed([problem])
        unclear = await asyncio.to_thread(unreadable, directory)
        if unclear:
            raise _failed(list(unclear))
        directories = {"agent": directory.absolute(), "modules": share() / "modules"}
        lib = self._lib_directory()
        if lib is not None:
            directories["lib"] = lib
        fence = self._fence
        if fence is None:
            fence = await asyncio.to_thread(self.fence)
        with fence.seeing(directories) as seen:
            done = await self._run(fence, seen)
            roots = replace(_roots(seen), commit=commit)
            if done.code != 0:
                raise self._limits.explain(done, roots)
        found = _read_result(done.stdout, roots)
        return replace(found, said=read_said(done.stderr, roots))

    async def _run(self, fence: Fence, seen: Seen) -> Completed:
        inside = seen.inside
        arguments = [*_FLAGS]
        for name, path in inside.items():
            arguments += ["-I", f"{name}={path}"]
        arguments += [f"{inside['modules']}/eval/evaluate.nix"]
        arguments += ["--argstr", "agent", inside["agent"]]
        if "lib" in inside:
            arguments += ["--argstr", "lib", inside["lib"]]
        with fence.launch(seen, arguments) as launch:
            try:
                return await run(
                    launch.argv,
                    env=ENVIRONMENT,
                    timeout=self._timeout,
                    limits=Rlimits(
                        address_space=_MEMORY_MAX,
                        cpu_s=max(1, math.ceil(self._timeout)),
                        file_size=0,
                    ),
                    run_as=launch.run_as,
                    pass_fds=launch.pass_fds,
                    max_output=_OUTPUT_MAX,
                )
            except HiveError as error:
                if error.code == ErrorCode.TIMEOUT:
                    raise self._limits.too_long() from error
                if error.code == ErrorCode.TOO_LARGE:
                    raise _too_much_output() from error
                raise

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


def _roots(seen: Seen) -> Roots:
    inside = seen.inside
    return Roots(
        inside["agent"], inside["modules"], inside.get("lib"), seen.real["agent"]
    )


def _failed(problems: list[Problem]) -> EvalError:
    return Limits(_SUBJECT, 0, 0).failed(problems)


def _too_much_output() -> EvalError:
    return EvalError(
        ErrorCode.EVAL_LIMIT,
        f"The manifest of agent.nix exceeds {_OUTPUT_MAX} bytes. Shorten its texts "
        "and lists.",
    )


def _read_result(output: bytes, roots: Roots) -> Evaluation:
    try:
        report = read_json(output, max_bytes=_OUTPUT_MAX)
        manifest, options = report["manifest"], report["nixosOptions"]
    except (HiveError, TypeError, KeyError) as error:
        reason = "its value is not plain JSON"
        if not _is_utf8(output):
            reason = "a text in it is not UTF-8. Save its files as UTF-8"
        raise _failed([Problem(None, None, None, reason)]) from error
    if not isinstance(manifest, dict):
        raise _failed([Problem(None, None, None, "its value is not a manifest")])
    return Evaluation(manifest, option_names(options), roots.agent)


def _is_utf8(output: bytes) -> bool:
    try:
        output.decode()
    except UnicodeDecodeError:
        return False
    return True


def option_names(found: object) -> tuple[str, ...]:
    """Return the names of NixOS options that an evaluation reports, sorted.

    Raises:
        EvalError: ``eval_failed`` for anything else, ``eval_limit`` for too many.
    """
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise _failed(
            [Problem(None, None, None, "its options are not a list of names")]
        )
    if len(found) > _OPTIONS_MAX or any(len(n) > _OPTION_LENGTH_MAX for n in found):
        raise EvalError(
            ErrorCode.EVAL_LIMIT,
            f"agent.nix sets more than {_OPTIONS_MAX} NixOS options, or one of more "
            f"than {_OPTION_LENGTH_MAX} characters.",
        )
    return tuple(sorted(found))
