"""What a command that asks hived prints, and how it exits."""

from dataclasses import dataclass

from pyglue.api.common import Result


@dataclass(frozen=True)
class Answer:
    """What a command prints, and how it exits."""

    result: Result
    text: str
    code: int = 0
