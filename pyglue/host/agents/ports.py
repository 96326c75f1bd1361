"""A permanent port for each agent, because people bookmark agents.

hived chooses it and stores it in ``private/<name>/port``; hive-web listens on it and
redirects to the agent's page. A stored port is kept even if another program has taken
it: if ports changed, a bookmark could open another agent. So conflicts are shown, and a
free port is only chosen for a name that never had a repository here.
"""

import asyncio
import contextlib
import hashlib
import logging
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.api.metrics import AgentPort, AgentPortsParams, AgentPortsResult
from pyglue.host.core.registry import Registry
from pyglue.host.core.tcp_listeners import tcp_listeners
from pyglue.paths import Layout

FIRST: Final = 8100
LAST: Final = 8999
LOOPBACK: Final = "127.0.0.1"

_log = logging.getLogger(__name__)


def hashed(name: str) -> int:
    """Return the port that a name hashes to."""
    digest = hashlib.sha256(name.encode()).digest()
    return FIRST + int.from_bytes(digest[:8], "big") % (LAST - FIRST + 1)


def settle(layout: Layout, name: str) -> int:
    """Return an agent's port; choose and store it if there is none. Blocks."""
    file = layout.port(name)
    port = _read(file)
    if port is not None:
        return port
    port = hashed(name)
    if not layout.applied(name).is_dir():
        port = _free_from(port, _kept_by_others(layout, name))
    file.parent.mkdir(exist_ok=True, mode=0o711)
    fresh = file.with_name("port.new")
    fresh.write_text(f"{port}\n")
    fresh.replace(file)
    return port


def _read(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("cannot read %s, creating it again: %s", file, error)
        return None
    if text.isascii() and text.isdigit() and 1024 <= int(text[:6]) <= 65535:
        return int(text)
    _log.warning("%s contains no port; creating it again", file)
    return None


def _kept_by_others(layout: Layout, name: str) -> frozenset[int]:
    directories = layout.private(name).parent
    found = (_read(one / "port") for one in directories.glob("*/") if one.name != name)
    return frozenset(port for port in found if port is not None)


def _free_from(start: int, taken: frozenset[int]) -> int:
    """Return the first free port at or after ``start``, around the end of the range."""
    size = LAST - FIRST + 1
    for offset in range(size):
        port = FIRST + (start - FIRST + offset) % size
        if port not in taken and _is_free(port):
            return port
    return start  # all are taken: the conflict is shown


def _is_free(port: int) -> bool:
    try:
        probe = socket.socket()
    except OSError:  # no network, as in NixOS's unit: consult the kernel's tables
        return port not in {one.port for one in tcp_listeners()}
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(kw_only=True)
class Ports:
    """Every agent's port, and its conflicts as reported by hive-web."""

    registry: Registry
    layout: Layout
    _ports: dict[str, int] = field(default_factory=dict, init=False)
    _conflicts: dict[str, str] = field(default_factory=dict, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _version: int = field(default_factory=lambda: int(time.time() * 1000), init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.registry.listen(self._on_change)

    async def load(self) -> None:
        """Choose the ports of all agents; forget those of removed ones."""
        names = [agent.name for agent in self.registry.all()]
        fresh = [name for name in names if name not in self._ports]
        found = await asyncio.to_thread(
            lambda: {name: settle(self.layout, name) for name in fresh}
        )
        known = {**self._ports, **found}
        ports = {name: known[name] for name in names}
        if ports != self._ports:
            self._ports = ports
            self._version += 1
            self._changed.set()
            self._changed = asyncio.Event()

    def _on_change(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        try:
            while {agent.name for agent in self.registry.all()} != set(self._ports):
                await self.load()
        except OSError as error:
            _log.warning("cannot store an agent's port: %s", error)

    def port(self, name: str) -> int | None:
        """Return an agent's port."""
        return self._ports.get(name)

    def conflict(self, name: str) -> str | None:
        """Return why an agent's port does not work, None if it does."""
        return self._conflicts.get(name) if name in self._ports else None

    async def answer(self, params: AgentPortsParams) -> AgentPortsResult:
        """Accept the ports hive-web could not bind; answer when ports change."""
        self._conflicts = {one.agent: one.reason for one in params.conflicts}
        if params.known == self._version and params.wait_seconds > 0:
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(params.wait_seconds):
                    await changed.wait()
        return AgentPortsResult(
            version=self._version,
            ports=tuple(
                AgentPort(agent=name, port=port) for name, port in self._ports.items()
            ),
        )
