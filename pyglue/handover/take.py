"""A daemon's side: takes listening sockets from hived."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from pyglue import strict_json
from pyglue.api.handover import Listener
from pyglue.jsonrpc import short_path
from pyglue.strict_json import JsonError

_DATAGRAM_MAX: Final = 4096
_DESCRIPTORS_MAX: Final = 4

_log = logging.getLogger(__name__)

Serve = Callable[[str, socket.socket], Awaitable[None]]


async def take(path: Path, serve: Serve) -> None:
    """Take listening sockets until hived closes the channel at ``path``.

    ``serve`` gets each with its agent's name; its ``OSError`` or ``ValueError`` is
    logged.
    """
    channel = socket.socket(
        socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
    )
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        with short_path(path) as name:
            await loop.sock_connect(channel, name)
        loop.add_reader(channel, readable.set)
        while True:
            await readable.wait()
            readable.clear()
            with contextlib.suppress(BlockingIOError):
                for agent, listener in _received(channel):
                    await _open(agent, listener, serve)
                return
    except OSError as error:
        _log.warning("could not get sockets from hived: %s", error.strerror)
    finally:
        loop.remove_reader(channel)
        channel.close()


async def _open(agent: str, listener: socket.socket, serve: Serve) -> None:
    try:
        await serve(agent, listener)
    except (OSError, ValueError) as error:
        _log.warning("cannot serve the socket of %s: %s", agent, error)
        listener.close()


def _received(channel: socket.socket) -> Iterator[tuple[str, socket.socket]]:
    """Yield each agent's listening socket; end when hived is gone.

    Raises:
        BlockingIOError: no more for now.
    """
    while True:
        data, descriptors, _, _ = socket.recv_fds(
            channel, _DATAGRAM_MAX, _DESCRIPTORS_MAX
        )
        if not data:
            return
        try:
            agent = strict_json.read(data, Listener).agent
            (descriptor,) = descriptors
        except (JsonError, ValueError):
            _log.warning("Invalid datagram from hived")
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        os.set_inheritable(descriptor, False)
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
        yield agent, listener
