"""A dashboard as a process of its own, and what it says."""

import contextlib
import http.client
import socket
from dataclasses import dataclass

from checks.kits.patience import PATIENCE_S
from checks.kits.web.hive import FakeHive


@dataclass
class Running:
    """A hive-web process before a fake hive."""

    hive: FakeHive
    port: int

    @property
    def host(self) -> str:
        return self.hive.origin.removeprefix("http://")

    def cookie(self) -> str:
        return f"hive_{self.port}={self.hive.new_session()}"

    def get(
        self, path: str = "/", *, timeout: float = PATIENCE_S, **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {"Host": self.host, "Cookie": self.cookie(), **headers}
        connection.request("GET", path, headers=sent)
        return connection.getresponse()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def raw(self, request: bytes) -> bytes:
        """Return all that comes back for some bytes."""
        with self.connect() as there, contextlib.suppress(ConnectionError):
            there.sendall(request)
            return b"".join(iter(lambda: there.recv(65536), b""))
        return b""
