"""Types of what ``hive doctor`` checks and finds."""

from enum import StrEnum

from pyglue.api.common import Result


class CheckState(StrEnum):
    """Outcome of one of doctor's checks."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(Result, frozen=True):
    """One check by doctor, with its result and what to do about it."""

    name: str
    state: CheckState
    message: str
    repair: str | None = None
    """What ``repair`` would do about it, where it can."""


class DoctorResult(Result, frozen=True):
    """All checks, worst first."""

    checks: tuple[Check, ...]
