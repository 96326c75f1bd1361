"""The attack surface of a hive: its listeners, and who can reach them."""

from enum import StrEnum

from pyglue.api.common import Result


class ListenerKind(StrEnum):
    """The kind of a listener's address."""

    UNIX = "unix"
    TCP = "tcp"
    SANDBOX = "sandbox"
    """A loopback port in an agent's own network namespace."""


class Listener(Result, frozen=True):
    """One listening socket.

    ``user`` is the account that the listening process runs as. ``mode`` (octal),
    ``owner`` and ``group`` are the current ones of a Unix socket's file. ``reach``
    describes who can connect, ``problem`` what is wrong with the listener.
    """

    name: str
    kind: ListenerKind
    address: str
    process: str
    user: str | None
    reach: str
    mode: str | None = None
    owner: str | None = None
    group: str | None = None
    problem: str | None = None


class UnitScore(Result, frozen=True):
    """A unit's score from ``systemd-analyze security``: 0 is best, 10 worst."""

    unit: str
    score: float | None
    problem: str | None = None


class ExposureResult(Result, frozen=True):
    """Every listener of the hive; scores only where systemd runs its units."""

    listeners: tuple[Listener, ...]
    units: tuple[UnitScore, ...]
