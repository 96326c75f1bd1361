"""A listener continues after it ran out of descriptors, and stops on request."""

import asyncio
import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.egress import listener
from pyglue.egress.listener import Listener

pytestmark = pytest.mark.asyncio


class Short(socket.socket):
    """Has no descriptor left for the first connection."""

    failures = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail once."""
        if not self.failures:
            self.failures += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def greet(connection: socket.socket) -> None:
    """Say hello, and leave."""
    await asyncio.get_running_loop().sock_sendall(connection, b"hello")


async def said(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    async with asyncio.timeout(PATIENCE_S):
        found = await reader.read()
    writer.close()
    return found


async def test_it_accepts_again_when_descriptors_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection waits in the kernel meanwhile, and is not lost."""
    monkeypatch.setattr(listener, "_AGAIN_S", 0.01)
    path = tmp_path / "egress.sock"
    own = Short(socket.AF_UNIX)
    own.bind(str(path))
    own.listen()
    made = Listener(own, greet, most=lambda: 1)
    assert [await said(path) for _ in range(3)] == [b"hello"] * 3
    assert caplog.text.count("cannot accept a connection: Too many open files") == 1
    await made.shut()
    with pytest.raises(ConnectionRefusedError):
        await said(path)
    await made.shut()  # again is harmless


async def test_what_fails_is_logged_and_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The next connection is served."""
    path = tmp_path / "egress.sock"
    own = socket.socket(socket.AF_UNIX)
    own.bind(str(path))
    own.listen()
    first = True

    async def fail(connection: socket.socket) -> None:
        nonlocal first
        if first:
            first = False
            raise ValueError("a fault of ours")
        await greet(connection)

    made = Listener(own, fail, most=lambda: 8)
    assert await said(path) == b""
    assert await said(path) == b"hello"
    assert "a connection failed: ValueError('a fault of ours')" in caplog.text
    await made.shut()
