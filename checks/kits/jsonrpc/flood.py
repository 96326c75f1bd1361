"""A process that floods one socket of hived, for as long as its stdin stays open.

``python -m checks.kits.jsonrpc.flood KIND SOCKET`` says ``flooding`` once it began.
Each kind is one way in which a hostile container tries to take hived from others.
"""

import contextlib
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pyglue.api.common import PROTOCOL
from pyglue.jsonrpc import short_path

_AGAIN_S: Final = 0.01
"""Pause after a connection that was refused, so that the flood itself is not idle."""


def call(method: str, params: object, number: int = 1) -> bytes:
    """Return a request's line."""
    line = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(line).encode() + b"\n"


HELLO: Final = call("hello", {"protocol": PROTOCOL, "client": "flood"})


def connected(path: Path) -> socket.socket:
    """Return a fresh connection."""
    sock = socket.socket(socket.AF_UNIX)
    with short_path(path) as name:
        sock.connect(name)
    return sock


def greeted(path: Path) -> socket.socket:
    """Return a connection that said hello and was answered."""
    sock = connected(path)
    sock.sendall(HELLO)
    sock.recv(65536)
    return sock


def unread(path: Path) -> None:
    """Ask for large answers and read none."""
    sock = greeted(path)
    for number in range(1, 101):
        sock.sendall(call("recv", {"peek": True, "max": 32}, number))
    time.sleep(1)


def unknown(path: Path) -> None:
    """Call methods that there are not, and read no refusal."""
    sock = greeted(path)
    lines = b"".join(call("nonsense", {}, number) for number in range(1, 1001))
    for _ in range(450):
        sock.sendall(lines)


def idle(path: Path) -> None:
    """Connect, say nothing, stay."""
    held = []
    for _ in range(2000):
        held.append(connected(path))
    time.sleep(1)


def invalid(path: Path) -> None:
    """Say what is no line, again and again."""
    connected(path).sendall(b"nonsense\n" * 100)


def whoami(path: Path) -> None:
    """Ask what is easy to answer, as fast as it goes, and read it."""
    sock = greeted(path)
    for number in itertools.count(1):
        sock.sendall(call("whoami", {}, number) * 30)
        sock.recv(1024 * 1024)


def half(path: Path) -> None:
    """Ask, close one direction, and read nothing."""
    sock = greeted(path)
    sock.sendall(call("open_threads", {}) * 20)
    sock.shutdown(socket.SHUT_WR)
    time.sleep(0.5)


def bytewise(path: Path) -> None:
    """Send a line in single bytes."""
    sock = greeted(path)
    for number in itertools.count(1):
        for byte in call("whoami", {}, number):
            sock.send(bytes([byte]))


def garbage(path: Path) -> None:
    """Send lines of a mebibyte that are JSON almost to their end."""
    text = "[" + "1," * (500 * 1024)
    sock = greeted(path)
    sock.sendall(call("send", {"to": "manager", "body": [text]}))
    sock.sendall(text.encode() + b"\n")


def subscribe(path: Path) -> None:
    """Subscribe to everything ever and read nothing; for the operator's socket."""
    sock = greeted(path)
    for number in range(1, 20):
        sock.sendall(call("subscribe", {"since": 0}, number))
    time.sleep(1)


KINDS: Final[dict[str, Callable[[Path], None]]] = {
    one.__name__: one
    for one in (
        *(unread, unknown, idle, invalid, whoami, half, bytewise, garbage),
        subscribe,
    )
}
THREADS: Final = 40


def _again(flood: Callable[[Path], None], path: Path) -> None:
    while True:
        with contextlib.suppress(OSError):
            flood(path)
        time.sleep(_AGAIN_S)


def _threads(kind: str, path: Path) -> Iterator[threading.Thread]:
    for _ in range(4 if kind == "idle" else THREADS):
        yield threading.Thread(target=_again, args=(KINDS[kind], path), daemon=True)


def main() -> None:
    """Flood until stdin ends."""
    kind, path = sys.argv[1], Path(sys.argv[2])
    for thread in _threads(kind, path):
        thread.start()
    print("flooding", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
