"""Derives what happened to a container from the states of its unit.

Used by the ``nixos-container`` backend, with one ``Track`` per unit. Signals may be
merged, and none arrives while hived or D-Bus is down; so events are derived from what
successive states imply, not from each state being seen. A run of a unit has an
invocation ID: it is the ID of the event, and each run ends once.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final

from pyglue.process import describe_exit

_EXITED: Final = 1
_REBOOT: Final = 133
"""nspawn's exit code for a reboot from inside; systemd restarts the unit."""


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """Properties of a service, as systemd reports them."""

    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    restarts: int = 0
    invocation: str = ""
    exit_code: int = 0
    exit_status: int = 0

    @property
    def phase(self) -> "Phase":
        """Return the phase of the unit, the same for every version of systemd."""
        if self.sub.startswith("auto-restart") or self.sub.endswith("-auto-restart"):
            return Phase.RESTARTING
        return _PHASES.get(self.active, Phase.DOWN)


class Phase(Enum):
    """The phases of a unit's life."""

    DOWN = auto()
    STARTING = auto()
    UP = auto()
    ENDING = auto()
    RESTARTING = auto()
    FAILED = auto()


_PHASES: Final = {
    "inactive": Phase.DOWN,
    "activating": Phase.STARTING,
    "active": Phase.UP,
    "reloading": Phase.UP,
    "refreshing": Phase.UP,
    "deactivating": Phase.ENDING,
    "failed": Phase.FAILED,
}


class Change(StrEnum):
    """The changes of a container that are reported."""

    STARTED = "started"
    STOPPED = "stopped"
    CRASHED = "crashed"
    GAVE_UP = "gave_up"
    """It crashed and systemd will not start it again."""


@dataclass(frozen=True)
class Report:
    """A change, the ID of its run, and the reason as a sentence."""

    change: Change
    run: str
    why: str


@dataclass(kw_only=True)
class Track:
    """A unit's history. ``last_run`` may come from an earlier hived of this boot.

    ``asked`` is set from when hived stops the container until it starts it again.
    """

    last_run: str | None = None
    restarts: int = 0
    asked: bool = False
    state: UnitState = UnitState()
    _began: bool = False
    _ended: bool = False
    _gave_up: bool = False

    def take(self, new: UnitState, *, settled: bool) -> tuple[Report, ...]:
        """Return the changes that the state ``new`` implies.

        ``settled`` is false for a state from a signal: ``failed`` may then be
        followed by a restart.
        """
        reports = self._take(new, settled=settled)
        self.state = new
        return tuple(reports)

    def starting(self) -> None:
        """Note that hived starts it: a failure from here on is a new one."""
        self.last_run, self.asked, self._began = None, False, True
        self._ended = self._gave_up = False

    def _take(self, new: UnitState, *, settled: bool) -> list[Report]:
        match new.phase:
            case Phase.UP:
                return self._up(new)
            case Phase.DOWN:
                return self._down(new, settled=settled)
            case Phase.ENDING | Phase.RESTARTING | Phase.FAILED if (
                new.result != "success"
            ):
                return self._failing(new, settled=settled)
        return []

    def _up(self, new: UnitState) -> list[Report]:
        if new.invocation == self.last_run:
            return []
        reports = []
        missed = self.last_run is not None and not self._ended
        if missed and new.restarts > self.restarts:
            why = "It exited and systemd restarted it while hived was not watching."
            reports.append(Report(Change.CRASHED, self.last_run or "", why))
        self.last_run, self.restarts = new.invocation, new.restarts
        self._ended = self._gave_up = False
        reports.append(Report(Change.STARTED, new.invocation, "Running."))
        return reports

    def _down(self, new: UnitState, *, settled: bool) -> list[Report]:
        if self.last_run is None or self._ended:
            return []
        if _rebooting(new):
            self._ended = True
            return []
        if not settled and new.invocation != self.last_run:
            return []  # only a moment before the next run
        self._ended = True
        why = "Stopped by the hive."
        if not self.asked:
            why = "It shut down, or was stopped from outside the hive."
        return [Report(Change.STOPPED, self.last_run, why)]

    def _failing(self, new: UnitState, *, settled: bool) -> list[Report]:
        if self.asked:
            over = new.phase is Phase.FAILED
            return self._down(new, settled=settled) if over else []
        reports = []
        run = self.last_run or new.invocation
        if not self._ended and (self._began or self.last_run is not None):
            self._ended, self.last_run = True, run
            reports.append(Report(Change.CRASHED, run, describe(new)))
        if new.phase is Phase.FAILED and settled and not self._gave_up:
            self._gave_up = True
            count = f"{new.restarts} times" if new.restarts != 1 else "once"
            why = f"systemd restarted it {count} and gave up: {describe(new)}"
            if new.restarts == 0:
                why = f"systemd does not restart it: {describe(new)}"
            reports.append(Report(Change.GAVE_UP, run, why))
        return reports


def _rebooting(state: UnitState) -> bool:
    return (state.exit_code, state.exit_status) == (_EXITED, _REBOOT)


def describe(state: UnitState) -> str:
    """Return a sentence about how a run ended."""
    match state.result:
        case "oom-kill":
            return "It exceeded its memory limit and was killed (OOM)."
        case "exit-code":
            return f"Its container exited with code {state.exit_status}."
        case "signal":
            return f"Its container was {describe_exit(-state.exit_status)}."
        case "core-dump":
            return f"Its container dumped core ({describe_exit(-state.exit_status)})."
        case "timeout":
            return "Its container did not start or stop in time."
        case "start-limit-hit":
            return "It was started too often within a short time."
        case "watchdog":
            return "Its container stopped answering."
        case "protocol":
            return "Its container exited before it was ready."
        case other:
            return f"Its container failed: {other}."
