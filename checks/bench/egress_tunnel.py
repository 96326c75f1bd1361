"""The harness's loopback port, as a process: ``… egress_tunnel SOCKET PORT_FILE``.

Leads to an agent's ``egress.sock``, as in a sandbox; its port is in the file once it is
ready.
"""

import asyncio
import sys
from pathlib import Path

from pyglue.harness.link.tunnel import Tunnel


async def _serve(target: Path, told: Path) -> None:
    async with Tunnel(target) as tunnel:
        told.write_text(tunnel.environment["HTTP_PROXY"].rpartition(":")[2])
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(*map(Path, sys.argv[1:3])))
