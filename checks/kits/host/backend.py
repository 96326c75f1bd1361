"""A backend that runs nothing, for tests of code that only queries one."""

from typing import Any

from pyglue.api.journal import JournalUnit
from pyglue.host.backends.base import Backend
from pyglue.host.backends.logs import JournalSource


class Played(Backend):
    """Nothing runs; ``units`` as on NixOS if it is told so."""

    name = "fake"
    isolation = "none"
    warnings = ()

    def __init__(self, units: tuple[str, ...] = (), *, shares: bool = False) -> None:
        self.units = units
        self._shares = shares

    def shares_network(self, network: bool) -> bool:
        return network and self._shares

    def without_harness(self, name: str) -> str:
        return f"The harness of {name} is not running."

    def journal(self, name: str | None, unit: JournalUnit) -> JournalSource:
        raise NotImplementedError

    def watch(self, callback: Any) -> None: ...
    async def apply(self, spec: Any) -> None: ...
    async def start(self, spec: Any) -> None: ...
    async def stop(self, name: str, *, grace_s: float = 5.0) -> None: ...
    def running(self, name: str) -> bool:
        return False

    def log_tail(self, name: str, lines: int) -> tuple[str, ...]:
        return ()

    async def close(self) -> None: ...
