"""Secrets: values that the operator stores by name. No call returns a value."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import Params, Result

NAME_PATTERN: Final = "^[A-Z][A-Z0-9_]{0,63}$"
VALUE_MAX: Final = 65536
"""Longest value in bytes."""

SecretName = Annotated[str, Meta(pattern=NAME_PATTERN)]
"""Such as ``GITHUB_TOKEN``."""


class SecretParams(Params, frozen=True):
    """Names a secret."""

    name: SecretName


class SecretSetParams(Params, frozen=True):
    """A secret and its new value."""

    name: SecretName
    value: Annotated[str, Meta(min_length=1, max_length=VALUE_MAX)]


class SecretView(Result, frozen=True):
    """A secret that is set; ``configured`` if the host's configuration names its file.

    ``set_at`` is when its value was last written.
    """

    name: str
    configured: bool
    set_at: float | None


class SecretsResult(Result, frozen=True):
    """All secrets that are set, by name."""

    secrets: tuple[SecretView, ...]


class SecretUse(Result, frozen=True):
    """A secret that an agent uses: how, and why it does not work, if so.

    ``exposed``: the agent sees its value.
    """

    name: str
    uses: tuple[str, ...]
    problem: str | None
    exposed: bool = False


class SecretPlace(StrEnum):
    """Where an agent's programs find a secret's value."""

    ENV = "env"
    FILE = "file"


class ExposedSecret(Result, frozen=True):
    """A secret whose value an agent may see, and where its programs find it."""

    name: str
    place: SecretPlace
    value: str

    def __repr__(self) -> str:
        """Keep the value out of logs and tracebacks."""
        return f"ExposedSecret({self.name})"


class ExposedResult(Result, frozen=True):
    """The secrets that the caller may see and that are set."""

    secrets: tuple[ExposedSecret, ...]
