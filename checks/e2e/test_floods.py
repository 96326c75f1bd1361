"""The operator's commands while an agent floods hived by its own socket.

Each flood runs in processes of its own against a whole hive. The emergency stop, a
status and another agent's call must come through meanwhile, and hived must hold little
for whoever floods. The deadline is a guard against hanging, far above what it takes.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from checks.kits.host.hive import Hive, running_hive
from checks.kits.jsonrpc import flood
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.agent import WHOAMI
from pyglue.api.common import AgentState, NoParams
from pyglue.api.control import PauseAllParams
from pyglue.api.manager import STOP, AgentParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.limits import AGENT_RPC, MIB

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]
DEADLINE_S = 20.0
PROCESSES = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hive]:
    room = tmp_path_factory.mktemp("floods")
    async with running_hive(room, peers=True) as running:
        stopped = await running.operator.call(STOP, AgentParams(agent="alice"))
        await running.operation(stopped.operation)
        for _ in range(32):  # it has a full inbox, which nobody takes
            await running.send("alice", "x" * (200 * 1024))
        yield running


@contextlib.asynccontextmanager
async def flooded(kind: str, path: Path) -> AsyncIterator[None]:
    """Flood a socket from several processes."""
    made = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "checks.kits.jsonrpc.flood", kind, str(path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in made:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                assert await process.stdout.readline() == b"flooding\n"
        await asyncio.sleep(0)
        yield
    finally:
        for process in made:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def memory(hive: Hive) -> int:
    """Return what hived holds, in bytes."""
    status = Path(f"/proc/{hive.local.pid('hived')}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def descriptors(hive: Hive) -> int:
    return len(list(Path(f"/proc/{hive.local.pid('hived')}/fd").iterdir()))


def stop(hive: Hive) -> None:
    """Stop the hive as ``hive pause --all`` does: a fresh connection, one call."""
    path = hive.local.config.layout.operator_socket
    client = SyncClient(path, client="hive", timeout=DEADLINE_S)
    client.call(api.PAUSE_ALL, PauseAllParams(reason="flood"))
    client.close()


@pytest.mark.parametrize("kind", sorted(flood.KINDS))
async def test_the_operator_gets_through(hive: Hive, kind: str) -> None:
    layout = hive.local.config.layout
    own = kind == "subscribe"
    path = layout.operator_socket if own else layout.run("alice") / "hive.sock"
    held, opened = memory(hive), descriptors(hive)
    async with flooded(kind, path):
        for _ in range(5):
            await asyncio.to_thread(stop, hive)
            async with asyncio.timeout(DEADLINE_S):
                await hive.operator.call(api.STATUS, NoParams())
                await hive.operator.call(api.RESUME_ALL, NoParams())
                other = await hive.as_agent("manager")
                assert (await other.call(WHOAMI, NoParams())).name == "manager"
                other.close()
        if not own:
            assert descriptors(hive) <= opened + AGENT_RPC.connections + 16
        assert memory(hive) <= held + AGENT_RPC.bytes_all + 100 * MIB


async def test_the_log_is_not_flooded(hive: Hive) -> None:
    """What was refused a hundred thousand times is said a few times."""
    log = hive.state / "logs" / "hived.log"
    lines = log.read_text().splitlines()
    assert not [line for line in lines if "Traceback" in line]
    assert len(lines) < 1000


async def test_the_flooded_agent_works_again(hive: Hive) -> None:
    """Its own tools wait until what the flood used up is refilled."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                alice = await hive.as_agent("alice")
                break
            except HiveError as error:  # too many, said or not, while some still close
                assert error.code in (
                    ErrorCode.TOO_MANY,
                    ErrorCode.TIMEOUT,
                    ErrorCode.UNAVAILABLE,
                )
    assert (await alice.call(WHOAMI, NoParams())).waiting == 32
    alice.close()
    assert (await hive.agent("alice")).state is AgentState.STOPPED
