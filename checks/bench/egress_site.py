"""A host outside, as a process: ``python -m checks.bench.egress_site CERT KEY P P P``.

Its three ports answer a request over TLS (the certificate and its key are given),
answer one without, and pour out as many bytes as eight bytes ask for: with a thread for
each connection where something is to be computed or copied, as fast as Python can be,
and without where there are thousands.
"""

import asyncio
import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from checks.bench.egress_relay import CHUNK

REQUEST: Final = b"GET / HTTP/1.1\r\nhost: forge.test\r\n\r\n"
ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n"
_POURED: Final = bytes(CHUNK)


class _Answer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(ANSWER)


def _shake(connection: socket.socket, context: ssl.SSLContext) -> None:
    with context.wrap_socket(connection, server_side=True) as shaken:
        while shaken.recv(CHUNK):
            shaken.sendall(ANSWER)


def _pour(connection: socket.socket) -> None:
    while asked := connection.recv(8, socket.MSG_WAITALL):
        left = int.from_bytes(asked, "big")
        while left:
            left -= connection.send(_POURED[:left])


def _listen(port: int, serve: Callable[[socket.socket], None]) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serve(connection)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


async def _main(cert: str, key: str, *ports: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    secure, plain, pours = map(int, ports)
    _listen(secure, partial(_shake, context=context))
    _listen(pours, _pour)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(_Answer, "127.0.0.1", plain, backlog=4096):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
