"""Evaluate the NixOS system of an agent to its ``.drv``, without trusting agent.nix.

Called by ``proposals`` at submit on the ``nixos-container`` backend, right after the
manifest and behind the same fence (see ``evaluator``): restricted to the agent's
directory, the hive's modules and the locked nixpkgs; no network, no import from
derivation, an unprivileged user. The derivations go into an empty binary cache of their
own, not into the host's store. Then only the derivations and the files that they name
are copied, and Nix accepts none whose name is not the hash of its content, so nothing
can take another path's place. Nothing is built or fetched here.
"""

import asyncio
import contextlib
import logging
import math
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyglue.config import NixosConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.record import canonical, read_json
from pyglue.nix import bounded_cache
from pyglue.nix.evaluation import option_names
from pyglue.nix.failure import RESTRICTED, Limits, program
from pyglue.nix.fence import ENVIRONMENT, Fence, Seen
from pyglue.nix.hoststore import HostStore, is_derivation
from pyglue.nix.log import EvalError, Problem, Roots, read_printed
from pyglue.process import Completed, Rlimits, run

_log = logging.getLogger(__name__)
_ENTRY: Final = "modules/hive/evaluate.nix"
_MEMORY_MAX: Final = 4 * 1024**3
_FILE_MAX: Final = 256 * 1024**2
_OUTPUT_MAX: Final = 1024**2
_SUBJECT: Final = "the system of agent.nix"


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The derivation of a system in a cache of its own, until the ``with`` ends.

    ``nixos_options`` are those that agent.nix sets in this evaluation;
    ``depends_on`` are the options of the manifest on which the system depends.
    """

    drv: str
    nixos_options: tuple[str, ...]
    depends_on: tuple[str, ...]
    cache: Path
    store: HostStore
    printed: tuple[str, ...] = ()
    """Warnings and traces of agent.nix, and those of the NixOS options that it sets."""

    async def into_store(self) -> None:
        """Copy it and its references into the host's store, checking each of them.

        The evaluation has finished, so nothing writes to the cache any more.

        Raises:
            HiveError: ``eval_limit``; ``unavailable`` if the store refuses it.
        """
        await asyncio.to_thread(bounded_cache.check, self.cache)
        arguments = ["--extra-experimental-features", "nix-command", "copy"]
        arguments += ["--derivation", "--from", f"file://{self.cache}", self.drv]
        try:
            await self.store.call("nix", arguments)
        except HiveError as error:
            # It contains paths of this machine, and the proposer reads the answer.
            _log.error("could not import a system into the store: %s", error)
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "The host's Nix store did not accept the system. Ask the operator to "
                "check hived's log.",
            ) from error


class SystemEvaluator:
    """Evaluates systems; one per hived. ``uid`` is the agents' fixed user ID."""

    def __init__(
        self, nixos: NixosConfig, *, uid: int, store: HostStore | None = None
    ) -> None:
        self._nixos = nixos
        self._uid = uid
        self._store = store or HostStore()
        self._limits = Limits(_SUBJECT, nixos.evaluate_s, _MEMORY_MAX)
        self._fence: Fence | None = None

    def check(self) -> None:
        """Check that everything it needs exists. Blocking, about 30 ms the first time.

        Raises:
            HiveError: ``missing_program`` or ``config_invalid``, with what to do.
        """
        for path, what in (
            (Path(self._nixos.nixpkgs, "nixos/lib/eval-config.nix"), "nixpkgs"),
            (Path(self._nixos.framework, _ENTRY), "framework"),
            *((Path(path), "modules") for path in self._nixos.modules),
        ):
            if not path.is_file():
                raise HiveError(
                    ErrorCode.CONFIG_INVALID,
                    f"Invalid nixos.{what} in the configuration file: {path} does not "
                    "exist.",
                )
        self._chosen()

    @asynccontextmanager
    async def evaluated(
        self, directory: Path, manifest: Mapping[str, Any], *, name: str, manager: bool
    ) -> AsyncIterator["Evaluated"]:
        """Yield the system of the agent in ``directory``, which is not in a store yet.

        ``manifest`` is validated; ``name`` is the agent's.

        Raises:
            EvalError: ``eval_failed`` with the problems; ``eval_limit``.
        """
        fence = await asyncio.to_thread(self._chosen)
        async with _closed_in_thread() as stack:
            temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (temporary / "manifest").write_bytes(canonical(manifest))
            paths = {
                "agent": directory.absolute(),
                "manifest": temporary / "manifest",
                "nixpkgs": Path(self._nixos.nixpkgs),
                "framework": Path(self._nixos.framework),
            }
            for number, module in enumerate(self._nixos.modules):
                paths[f"module-{number}"] = Path(module)
            seen = await asyncio.to_thread(
                stack.enter_context, fence.seeing(paths, output="cache")
            )
            done = await self._run(fence, seen, name, manager=manager)
            if done.code != 0:
                raise self._limits.explain(done, _roots(seen))
            drv, options, depends_on = _read_result(done.stdout, self._limits)
            cache = seen.output or temporary
            printed = read_printed(done.stderr, _roots(seen))
            yield Evaluated(
                drv=drv,
                nixos_options=options,
                depends_on=depends_on,
                cache=cache,
                store=self._store,
                printed=printed,
            )

    async def _run(
        self, fence: Fence, seen: Seen, name: str, *, manager: bool
    ) -> Completed:
        inside, timeout = seen.inside, self._limits.timeout
        # It evaluates to data but has to write the derivations, so it instantiates.
        arguments = ["--eval", "--strict", "--json", "--read-write-mode"]
        arguments += [*RESTRICTED, "--option", "substituters", ""]
        arguments += ["--store", f"file://{inside['cache']}?compression=none"]
        for key, path in inside.items():
            if key != "cache":
                arguments += ["-I", f"{key}={path}"]
        arguments += [f"{inside['framework']}/{_ENTRY}"]
        for key in ("nixpkgs", "agent", "manifest"):
            arguments += ["--argstr", key, inside[key]]
        arguments += ["--argstr", "name", name, "--argstr", "system"]
        arguments += [self._nixos.system, "--arg", "uid", str(self._uid)]
        arguments += ["--arg", "manager", "true" if manager else "false"]
        modules = [inside[key] for key in inside if key.startswith("module-")]
        listed = " ".join(f'(/. + "{path}")' for path in modules)
        arguments += ["--arg", "modules", f"[ {listed} ]"]
        with fence.launch(seen, arguments) as launch:
            try:
                async with bounded_cache.watched(seen.output):
                    return await run(
                        launch.argv,
                        env=ENVIRONMENT,
                        timeout=timeout,
                        limits=Rlimits(
                            address_space=_MEMORY_MAX,
                            cpu_s=max(1, math.ceil(timeout)),
                            file_size=_FILE_MAX,
                        ),
                        run_as=launch.run_as,
                        pass_fds=launch.pass_fds,
                        max_output=_OUTPUT_MAX,
                    )
            except HiveError as error:
                if error.code == ErrorCode.TIMEOUT:
                    raise self._limits.too_long() from error
                if error.code == ErrorCode.TOO_LARGE:
                    raise bounded_cache.too_much() from error
                raise

    def _chosen(self) -> Fence:
        if self._fence is None:
            self._fence = Fence(program())
        return self._fence


@asynccontextmanager
async def _closed_in_thread() -> AsyncIterator[contextlib.ExitStack]:
    """Yield a stack whose end may take a while, because a cache has many files."""
    stack = contextlib.ExitStack()
    try:
        yield stack
    finally:
        await asyncio.to_thread(stack.close)


def _roots(seen: Seen) -> Roots:
    inside = seen.inside
    return Roots(
        agent=inside["agent"],
        modules=inside["framework"],
        lib=inside["nixpkgs"],
        directory=seen.real["agent"],
    )


def _read_result(
    output: bytes, limits: Limits
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    try:
        report = read_json(output, max_bytes=_OUTPUT_MAX)
        drv, depends_on = report["system"], report["manifestOptions"]
        options = option_names(report["nixosOptions"])
    except EvalError:
        raise
    except (HiveError, TypeError, KeyError) as error:
        problem = "its value is not plain JSON"
        raise limits.failed(
            [Problem(file=None, line=None, column=None, message=problem)]
        ) from error
    if not isinstance(drv, str) or not is_derivation(drv):
        problem = "config.system.build.toplevel is not one derivation"
        raise limits.failed(
            [Problem(file=None, line=None, column=None, message=problem)]
        )
    return drv, options, tuple(map(str, depends_on))
