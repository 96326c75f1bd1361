"""Output and exit code of a command that calls hived."""

from dataclasses import dataclass

from pyglue.api.common import Result


@dataclass(frozen=True)
class Answer:
    """Output and exit code of a command."""

    result: Result
    text: str
    code: int = 0
