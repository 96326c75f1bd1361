"""The calls about archives: an agent out and in, the whole hive out."""

import asyncio
import shutil
from dataclasses import dataclass

from pyglue.api import operator as api
from pyglue.api.archive import (
    ExportParams,
    ImportChunkParams,
    ImportParams,
    ImportResult,
    TransferChunk,
    TransferParams,
    TransferRef,
)
from pyglue.api.common import Done, NoParams
from pyglue.host.archives.backup import Backups
from pyglue.host.archives.export import Exports
from pyglue.host.archives.imports import Imports
from pyglue.host.archives.transfers import Transfers
from pyglue.jsonrpc import Connection, Handlers


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Answers them; what is on its way is a connection's own."""

    transfers: Transfers
    exports: Exports
    imports: Imports
    backups: Backups

    def add_to(self, handlers: Handlers, connection: Connection, by: str) -> None:
        """Let a connection of the CLI call them."""
        transfers = self.transfers

        async def export(params: ExportParams) -> TransferRef:
            write = await self.exports.agent(params, by)
            return TransferRef(transfer=transfers.send(write, connection))

        async def backup(_params: NoParams) -> TransferRef:
            transfers.check_room()
            write, tmp = await self.backups.hive(by)
            try:
                return TransferRef(transfer=transfers.send(write, connection))
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, tmp)
                raise

        async def read(params: TransferParams) -> TransferChunk:
            return await transfers.read(params.transfer)

        async def begin(_params: NoParams) -> TransferRef:
            return TransferRef(transfer=transfers.receive(connection))

        async def chunk(params: ImportChunkParams) -> Done:
            transfers.add(params.transfer, params.data)
            return Done()

        async def take(params: ImportParams) -> ImportResult:
            return await self.imports.take(params, transfers, by)

        handlers.on(api.EXPORT, export)
        handlers.on(api.BACKUP, backup)
        handlers.on(api.TRANSFER_READ, read)
        handlers.on(api.IMPORT_BEGIN, begin)
        handlers.on(api.IMPORT_CHUNK, chunk)
        handlers.on(api.IMPORT, take)

    async def close(self) -> None:
        """End what is on its way."""
        await self.transfers.close()
