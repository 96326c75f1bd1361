"""Creates sockets: a client's connection, and those that a server binds.

Paths longer than the 107 bytes that Unix sockets allow work too.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pyglue.api.common import HELLO, HelloParams, Role
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc.connection import Connection
from pyglue.jsonrpc.handlers import Handlers
from pyglue.jsonrpc.peer import Peer
from pyglue.limits import AGENT_RPC, CLIENT_RPC, OPERATOR_RPC, RELAY_RPC

_PATH_MAX: Final = 107
_ROLE_RPC: Final = {
    Role.AGENT: AGENT_RPC,
    Role.MANAGER: AGENT_RPC,
    Role.RELAY: RELAY_RPC,
    Role.EGRESS: RELAY_RPC,
    Role.OPERATOR: OPERATOR_RPC,
}
"""What hived accepts on a socket of each role; a client refuses to send more."""


@contextlib.contextmanager
def short_path(path: Path | str) -> Iterator[str]:
    """Yield a name for a socket that fits into ``sockaddr_un``."""
    path = Path(path)
    if len(os.fsencode(path)) <= _PATH_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def not_there(path: Path | str, error: OSError) -> HiveError:
    """Return the error for a caller when nobody listens at ``path``."""
    return HiveError(
        ErrorCode.UNAVAILABLE,
        f"hived does not answer at {path} ({error.strerror or error}). Is the hive "
        "running?",
    )


async def connect(
    path: Path | str,
    handlers: Handlers | None = None,
    *,
    hello: HelloParams,
) -> Connection:
    """Connect and say hello; ``connection.hello`` is the HelloResult.

    Raises:
        HiveError: ``unavailable`` when nobody listens, or the refusal of the hello.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with short_path(path) as name:
            await loop.sock_connect(sock, name)
    except OSError as error:
        sock.close()
        raise not_there(path, error) from error
    _, connection = await loop.create_unix_connection(
        lambda: Connection(handlers or Handlers(), peer=Peer(CLIENT_RPC)), sock=sock
    )
    try:
        answer = await connection.call(HELLO, hello, timeout=CLIENT_RPC.hello_s)
        connection.hello = answer
        connection.line_max = _ROLE_RPC[answer.role].line
    except BaseException:
        connection.close()
        raise
    return connection


def bind_unix(path: Path, *, mode: int, gid: int | None, kind: int) -> socket.socket:
    """Bind and listen, replacing the socket of a dead process.

    The socket is created under another name and renamed into place, so that it never
    exists with the wrong mode and the path is never missing.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        with short_path(fresh) as name:
            sock.bind(name)
        fresh.chmod(mode)
        if gid is not None:
            os.chown(fresh, -1, gid)
        sock.listen(256)
        fresh.replace(path)
    except BaseException:
        sock.close()
        raise
    return sock
