"""Detecting a new login: agents that wait for one retry when the API key changes.

The relay reads the key file for every request, so a new key takes effect immediately;
agents whose requests were refused wait for it. hived only checks the file's status, and
never reads the key. A new relay process counts too: on NixOS, new credentials arrive
with a restart of the relay.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.api.common import AgentState
from pyglue.config import RelayConfig
from pyglue.host.control.controls import Controls
from pyglue.host.core.registry import Registry

_LOOK_S: Final = 2.0
"""Seconds between two checks of the key file."""
Status = tuple[int, int, int, int] | None
Look = tuple[tuple[Status, ...], tuple[int, ...]]


@dataclass(kw_only=True)
class Logins:
    """Watches the files of the accounts' credentials and the relay's process."""

    registry: Registry
    controls: Controls
    config: RelayConfig
    relays: Callable[[], tuple[int, ...]] = tuple
    """Returns the ids of the connected relay processes."""
    _seen: Look | None = field(default=None, init=False)

    async def watch(self) -> None:
        """Check at intervals; runs as long as hived does."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Make agents that wait for a login retry if there may be a new one."""
        found = await asyncio.to_thread(self._status), self.relays()
        before, self._seen = self._seen, found
        if before in (None, found):
            return
        for agent in self.registry.all():
            if agent.state is AgentState.NEEDS_LOGIN:
                self.controls.try_again(agent)

    def _status(self) -> tuple[Status, ...]:
        files = [account.api_key_file for account in self.config.accounts.values()]
        return tuple(None if file is None else _status(Path(file)) for file in files)


def _status(file: Path) -> Status:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
