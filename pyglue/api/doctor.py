"""The checks of ``hive doctor`` and their results, as types."""

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
    """The repair that ``repair`` would make, if it can."""


class DoctorResult(Result, frozen=True):
    """All checks, worst first."""

    checks: tuple[Check, ...]
