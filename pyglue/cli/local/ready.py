"""The readiness message (sd_notify) of one part of a local hive."""

import asyncio
import os
import socket
from pathlib import Path

from pyglue.jsonrpc.sockets import short_path


class Readiness:
    """A NOTIFY_SOCKET for one child: the future holds its READY message."""

    def __init__(self, path: Path, uid: int | None) -> None:
        self.path = path
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[str] = self._loop.create_future()
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        )
        path.unlink(missing_ok=True)
        with short_path(path) as name:
            self._socket.bind(name)
        path.chmod(0o600)
        if uid is not None:
            os.chown(path, uid, uid)
        self._loop.add_reader(self._socket, self._read)

    def _read(self) -> None:
        message = self._socket.recv(4096).decode("utf-8", "replace")
        if "READY=1" in message and not self.future.done():
            self.future.set_result(message)

    def close(self) -> None:
        """Stop listening; later messages are ignored."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
