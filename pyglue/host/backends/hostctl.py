"""Programs of the host that the ``nixos-container`` backend runs.

``systemctl`` reaches systemd without D-Bus, so containers can be stopped while D-Bus is
unavailable. Programs get argument lists only, with checked names.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hoststore import HostStore
from pyglue.process import Completed, describe_exit, find_program, run
from pyglue.text.display import visible

PROGRAMS: Final = ("nixos-container", "systemctl", "machinectl", "nix-env")
_QUICK_S: Final = 60.0
_STORE_S: Final = 600.0
"""Timeout of what garbage collection can delay, or what removes many files."""
_START_S: Final = 150.0
"""Longer than the unit's own timeout, whose error is more specific."""
_KILLED_S: Final = 60.0
_DISCONNECTED: Final = (
    b"Transport endpoint is not connected",
    b"Connection reset by peer",
    b"Failed to connect to",  # while systemd re-executes, as in nixos-rebuild
)
"""A busy systemd may disconnect systemctl; the call can safely be repeated."""
_ASSERTION: Final = "Assertion failed"
"""systemctl's error if assertions of the drop-in (``dropin``) prevent a start."""
_PAUSES_S: Final = (0.2, 1.0, 3.0)


class HostCtl:
    """Containers, their profiles and their units, by name."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        pauses: Sequence[float] = _PAUSES_S,
    ) -> None:
        self._environment = environment or HostStore().environment
        self._pauses = pauses

    async def create(self, container: str, system: str) -> None:
        """Create a container that runs ``system``.

        Raises:
            HiveError: ``deploy_failed`` with the program's error.
        """
        await self._must(
            *("nixos-container", "create", container, "--system-path", system),
            timeout=_STORE_S,
        )

    async def destroy(self, container: str) -> None:
        """Remove a container with its root directory. Idempotent.

        Raises:
            HiveError: ``deploy_failed`` with the program's error.
        """
        await self._must("nixos-container", "destroy", container, timeout=_STORE_S)

    async def set_profile(self, profile: str, system: str, *, keep: int) -> None:
        """Make ``system`` the profile's next generation; keep only the last ``keep``.

        A generation protects its system from garbage collection.

        Raises:
            HiveError: ``deploy_failed`` with the program's error.
        """
        for change in (("--set", system), ("--delete-generations", f"+{keep}")):
            argv = ("nix-env", "--profile", profile, *change)
            await self._must(*argv, timeout=_STORE_S)

    async def reload(self) -> None:
        """Make systemd reload its files."""
        await self._must("systemctl", "daemon-reload")

    async def start(self, unit: str, machine: str) -> None:
        """Start a unit, whatever its state.

        Raises:
            HiveError: ``deploy_failed`` if it does not start.
        """
        await self._try("systemctl", "reset-failed", unit)
        # A machine that a killed nspawn left registered blocks the next start.
        await self._try("machinectl", "terminate", machine)
        try:
            await self._must("systemctl", "start", unit, timeout=_START_S)
        except HiveError as error:
            if _ASSERTION not in error.message:
                raise
            raise HiveError(
                ErrorCode.DEPLOY_FAILED,
                f"{machine} was not started: something inside it created a link at a "
                "path where NixOS's start script works as root of the host. Remove "
                f"the link (`systemctl cat {unit}` lists the paths), or destroy the "
                "agent and restore it.",
            ) from error

    async def stop(self, unit: str, *, grace_s: float) -> None:
        """Stop a unit, by force after ``grace_s``.

        Raises:
            HiveError: ``deploy_failed`` if even that does not stop it.
        """
        try:
            if grace_s <= 0:
                raise TimeoutError
            async with asyncio.timeout(grace_s):
                await self._must("systemctl", "stop", unit)
        except TimeoutError:
            # Queue a stop job first: without one, systemd would restart a killed unit.
            await self._must("systemctl", "stop", "--no-block", unit)
            await self._try("systemctl", "kill", "--signal=SIGKILL", unit)
            await self._must("systemctl", "stop", unit, timeout=_KILLED_S)
        await self._try("systemctl", "reset-failed", unit)

    async def _must(self, *argv: str, timeout: float = _QUICK_S) -> None:
        done = await self._try(*argv, timeout=timeout)
        if done.code != 0:
            errors = visible(done.stderr[-1500:].decode("utf-8", "replace").strip())
            raise HiveError(
                ErrorCode.DEPLOY_FAILED,
                f"{' '.join(argv[:2])} failed with {describe_exit(done.code)}: "
                f"{errors}",
            )

    async def _try(self, *argv: str, timeout: float = _QUICK_S) -> Completed:
        command = [find_program(argv[0]), *argv[1:]]
        done = await run(command, env=self._environment, timeout=timeout)
        for pause in self._pauses if argv[0] == "systemctl" else ():
            if done.code == 0 or not any(one in done.stderr for one in _DISCONNECTED):
                break
            await asyncio.sleep(pause)
            done = await run(command, env=self._environment, timeout=timeout)
        return done
