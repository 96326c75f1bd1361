"""A minimal relay, as a process: ``python -m checks.bench.egress_relay SOCKET PORT``.

The reference for what hive-egress carries. It accepts on a Unix socket, connects to a
port of loopback, and passes bytes on in two threads with large buffers, in which Python
has nothing to do but to call the kernel.
"""

import contextlib
import socket
import sys
import threading
from typing import Final

CHUNK: Final = 256 * 1024


def _pass(source: socket.socket, sink: socket.socket) -> None:
    buffer = memoryview(bytearray(CHUNK))
    with contextlib.suppress(OSError):
        while got := source.recv_into(buffer):
            sink.sendall(buffer[:got])
        sink.shutdown(socket.SHUT_WR)


def _carry(inside: socket.socket, port: int) -> None:
    with inside, socket.create_connection(("127.0.0.1", port)) as outside:
        up = threading.Thread(target=_pass, args=(inside, outside))
        up.start()
        _pass(outside, inside)
        up.join()


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        inside, _ = listener.accept()
        threading.Thread(target=_carry, args=(inside, port), daemon=True).start()


def _main(path: str, port: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    threading.Thread(target=_accept, args=(listener, int(port)), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _main(*sys.argv[1:])
