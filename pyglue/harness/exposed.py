"""Secrets that this agent's programs may see, requested from hived.

They are requested before the first start of the CLI, before each turn and when a
terminal is opened, so a rotated value applies from then on: a CLI kept from the last
turn has a different environment, and is replaced. Values are in this process, in the
environment of the programs that it starts, and in a directory in memory.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyglue import jsonrpc
from pyglue.api.agent import EXPOSED
from pyglue.api.common import PROTOCOL, HelloParams, NoParams
from pyglue.api.secrets import ExposedResult, SecretPlace
from pyglue.errors import HiveError
from pyglue.files.replace import replace_file
from pyglue.jsonrpc import Connection, Handlers
from pyglue.manifest import exposed_secrets
from pyglue.manifest.types import Manifest

_CLIENT: Final = "hive-agent secrets"
_CALL_S: Final = 30.0
_START_S: Final = 20.0
"""How long the first start waits for hived; each turn asks again."""
_PAUSE_S: Final = 0.2

_log = logging.getLogger(__name__)


class Exposed:
    """The values, and where programs find them."""

    def __init__(self, manifest: Manifest, directory: Path) -> None:
        """``directory`` is for files; it exists if a secret is in a file."""
        places = exposed_secrets.of(manifest).values()
        self._any = bool(places)
        self._has_files = "file" in places
        self._directory = directory
        self._environment: dict[str, str] = {}

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables, as of the last request."""
        return self._environment

    async def first(self, socket: Path) -> None:
        """Request them before the harness's hello, on a separate connection."""
        if not self._any:
            return
        hello = HelloParams(protocol=PROTOCOL, client=_CLIENT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                while True:
                    try:
                        connection = await jsonrpc.connect(
                            socket, Handlers(), hello=hello
                        )
                    except HiveError as error:
                        _log.info("no connection to the hive: %s", error.message)
                        await asyncio.sleep(_PAUSE_S)
                        continue
                    try:
                        await self.refresh(connection)
                    finally:
                        connection.close()
                    return

    async def refresh(self, connection: Connection) -> None:
        """Request the current values.

        Raises:
            HiveError: as ``Connection.call``.
        """
        if self._any:
            self._take(await connection.call(EXPOSED, NoParams(), timeout=_CALL_S))

    def _take(self, found: ExposedResult) -> None:
        self._environment = {
            one.name: one.value for one in found.secrets if one.place is SecretPlace.ENV
        }
        if not self._has_files:
            return
        try:
            self._write(
                {
                    one.name: one.value
                    for one in found.secrets
                    if one.place is SecretPlace.FILE
                }
            )
        except OSError as error:
            _log.error("cannot write secrets: %s", error.strerror)

    def _write(self, files: Mapping[str, str]) -> None:
        for path in self._directory.iterdir():
            if path.name not in files:
                path.unlink()
        for name, value in files.items():
            replace_file(self._directory / name, value.encode(), mode=0o400)
