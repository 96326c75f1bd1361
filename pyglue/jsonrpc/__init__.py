"""JSON-RPC 2.0 over Unix stream sockets, one JSON object per line.

All processes of the hive talk to each other this way and no other. The first line
in each direction is ``hello`` with the protocol version; then both ends may call and
notify. Parameters are decoded straight into the structs of ``pyglue.api``, so a
handler never sees an unchecked field. ``Connection`` is the asyncio side,
``SyncClient`` the blocking one.
"""

from pyglue.jsonrpc.connection import Connection
from pyglue.jsonrpc.handlers import Handlers
from pyglue.jsonrpc.listen import Server, serve
from pyglue.jsonrpc.peer import Peer, Pool
from pyglue.jsonrpc.sockets import bind_unix, connect, short_path
from pyglue.jsonrpc.sync import SyncClient

__all__ = [
    "Connection",
    "Handlers",
    "Peer",
    "Pool",
    "Server",
    "SyncClient",
    "bind_unix",
    "connect",
    "serve",
    "short_path",
]
