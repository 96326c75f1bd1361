"""JSON-RPC 2.0 over Unix stream sockets, one JSON object a line.

Every process of the hive speaks this and nothing else to the others. The first
line each way is ``hello`` with the protocol version; then both ends may call and
notify. Parameters are decoded straight into the structs of ``pyglue.api``, so a
handler never sees an unchecked field. ``Connection`` is the asyncio side,
``SyncClient`` the blocking one.
"""

from pyglue.jsonrpc.connection import MAX_OUTSTANDING, Connection, Handlers
from pyglue.jsonrpc.sockets import Server, bind_unix, connect, serve, short_path
from pyglue.jsonrpc.sync import SyncClient
from pyglue.jsonrpc.wire import AGENT_LINE_LIMIT, LINE_LIMIT

__all__ = [
    "AGENT_LINE_LIMIT",
    "LINE_LIMIT",
    "MAX_OUTSTANDING",
    "Connection",
    "Handlers",
    "Server",
    "SyncClient",
    "bind_unix",
    "connect",
    "serve",
    "short_path",
]
