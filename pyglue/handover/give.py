"""hived's side: keeps the listening sockets, and sends each to every taker."""

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pyglue.api.handover import Listener
from pyglue.jsonrpc import bind_unix
from pyglue.limits import RELAY_CHANNELS

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Giver:
    """Sends agents' listening sockets over the SEQPACKET socket at ``path``."""

    path: Path
    mode: int
    gid: int | None
    _listeners: dict[str, socket.socket] = field(default_factory=dict, init=False)
    _channels: set[socket.socket] = field(default_factory=set, init=False)
    _fds: socket.socket | None = field(default=None, init=False)

    def open(self) -> None:
        """Listen for takers."""
        self._fds = bind_unix(
            self.path, mode=self.mode, gid=self.gid, kind=socket.SOCK_SEQPACKET
        )
        asyncio.get_running_loop().add_reader(self._fds, self._accept)

    def close(self) -> None:
        """Stop listening, for takers and for agents."""
        if self._fds is not None:
            asyncio.get_running_loop().remove_reader(self._fds)
            self._fds.close()
            self._fds = None
        for channel in list(self._channels):
            self._drop(channel)
        for listener in self._listeners.values():
            listener.close()

    def has(self, agent: str) -> bool:
        """Return whether the agent has a listening socket."""
        return agent in self._listeners

    def add(self, agent: str, path: Path, *, gid: int | None) -> None:
        """Listen at ``path`` for an agent and hand the socket over."""
        listener = bind_unix(path, mode=self.mode, gid=gid, kind=socket.SOCK_STREAM)
        self._listeners[agent] = listener
        for channel in list(self._channels):
            self._hand_over(channel, agent, listener)

    def remove(self, agent: str) -> None:
        """Forget an agent's socket."""
        listener = self._listeners.pop(agent, None)
        if listener is not None:
            listener.close()

    def _accept(self) -> None:
        if self._fds is None:
            return
        with contextlib.suppress(OSError):  # it is gone already, no descriptors
            channel, _ = self._fds.accept()
            if len(self._channels) >= RELAY_CHANNELS:
                channel.close()
                return
            channel.setblocking(False)
            self._channels.add(channel)
            # Nothing is ever sent to us here: readable means it is gone.
            loop = asyncio.get_running_loop()
            loop.add_reader(channel, lambda: self._drop(channel))
            for name, listener in self._listeners.items():
                self._hand_over(channel, name, listener)

    def _hand_over(
        self, channel: socket.socket, name: str, listener: socket.socket
    ) -> None:
        datagram = msgspec.json.encode(Listener(agent=name))
        try:
            socket.send_fds(channel, [datagram], [listener.fileno()])
        except OSError as error:
            _log.warning("a socket was not accepted at %s: %s", self.path.name, error)
            self._drop(channel)

    def _drop(self, channel: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(channel)
        self._channels.discard(channel)
        channel.close()
