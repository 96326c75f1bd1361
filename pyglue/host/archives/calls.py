"""The calls for archives: export and import of an agent, backup of the hive."""

import asyncio
import shutil
from dataclasses import dataclass

from pyglue.api import operator as api
from pyglue.api.archive import (
    BackupParams,
    ExportParams,
    ImportChunkParams,
    TransferRef,
)
from pyglue.api.common import NoParams
from pyglue.host.archives.backup import Backups
from pyglue.host.archives.export import Exports
from pyglue.host.archives.imports import Imports
from pyglue.host.archives.transfers import Transfers
from pyglue.jsonrpc import Connection, Handlers


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Answers these calls; a transfer belongs to its connection."""

    transfers: Transfers
    exports: Exports
    imports: Imports
    backups: Backups

    def add_to(self, handlers: Handlers, connection: Connection, by: str) -> None:
        """Register the calls for a connection of the CLI."""
        transfers = self.transfers

        async def export(params: ExportParams) -> TransferRef:
            write = await self.exports.agent(params, by)
            return TransferRef(transfer=transfers.send(write, connection))

        async def backup(params: BackupParams) -> TransferRef:
            transfers.check_count()
            write, tmp = await self.backups.hive(params, by)
            try:
                return TransferRef(transfer=transfers.send(write, connection))
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, tmp)
                raise

        async def begin(_params: NoParams) -> TransferRef:
            return TransferRef(transfer=transfers.receive(connection))

        async def chunk(params: ImportChunkParams) -> None:
            transfers.add(params.transfer, params.data)

        handlers.on(api.EXPORT, export)
        handlers.on(api.BACKUP, backup)
        handlers.on(api.TRANSFER_READ, lambda it: transfers.read(it.transfer))
        handlers.on(api.IMPORT_BEGIN, begin)
        handlers.on_done(api.IMPORT_CHUNK, chunk)
        handlers.on(api.IMPORT, lambda it: self.imports.take(it, transfers, by))
