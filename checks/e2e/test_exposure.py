"""``hive doctor --exposure`` of a running hive, compared with the kernel's tables.

Whatever the processes of the hive listen on must be in the list: a listener that
somebody adds without declaring it fails here.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from checks.kits.cli import run
from checks.kits.host.hive import Hive
from checks.kits.host.shared_hive import shared_hive
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.exposure import ExposureResult
from pyglue.cli.local import launcher
from pyglue.host.core.tcp_listeners import tcp_listeners

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

PARTS = ("hived", "hive-web", "hive-relay")
_ACCEPTS = 0x10000
"""The flag of a listening socket in /proc/net/unix."""


hive = shared_hive(peers=True, beside=launcher.PARTS)


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            match = re.fullmatch(r"socket:\[([0-9]+)\]", str(link.readlink()))
        except FileNotFoundError:
            continue
        if match is not None:
            found.add(match[1])
    return found


def listening_unix(pid: int) -> set[str]:
    """Return the names (as they were bound) of a process's listening Unix sockets."""
    mine, found = sockets_of(pid), set()
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        _, _, _, flags, _, _, inode, *path = line.split(maxsplit=7)
        if inode in mine and int(flags, 16) & _ACCEPTS:
            found.add(path[0] if path else "")
    return found


def listening_tcp(pid: int) -> set[int]:
    """Return the ports of a process's listening TCP sockets."""
    mine, found = sockets_of(pid), set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net", table).read_text().splitlines()[1:]:
            _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
            if state == "0A" and inode in mine:
                found.add(int(local.rpartition(":")[2], 16))
    return found


async def test_every_listener_of_the_hive_is_in_the_list(hive: Hive) -> None:
    result = await hive.operator.call(api.EXPOSURE, NoParams())
    declared = {one.address for one in result.listeners}
    names = {Path(address).name for address in declared}
    ports = {int(address.rpartition(":")[2]) for address in declared if ":" in address}
    seen = 0
    for part in PARTS:
        pid = hive.local.pid(part)
        for bound in listening_unix(pid):
            # Sockets are bound under a fresh name and renamed into place.
            name = Path(bound).name.removeprefix(".").removesuffix(".new")
            assert name in names, f"{part} listens on {bound}"
            seen += 1
        assert listening_tcp(pid) <= ports, part
        seen += len(listening_tcp(pid))
    assert seen >= 3 + 2 * 2 + 1
    for agent in ("manager", "alice"):
        for name in ("hive.sock", "model.sock"):
            assert str(hive.local.config.layout.run(agent) / name) in declared


async def test_no_listener_of_a_hive_that_is_well_has_a_problem(hive: Hive) -> None:
    async def well() -> ExposureResult | None:
        """hive-web opens the agents' ports when it has heard of them."""
        found = await hive.operator.call(api.EXPOSURE, NoParams())
        return found if all(one.problem is None for one in found.listeners) else None

    result = await hive.until(well, "listeners without a problem", every=0.5)
    assert {one.name for one in result.listeners} >= {
        "operator",
        "relay",
        "relay descriptors",
        "dashboard",
        "model forwarder of alice",
    }


async def test_the_command_prints_a_table_or_json(hive: Hive) -> None:
    socket = hive.local.config.layout.operator_socket
    shown = run.typed("doctor", "--exposure", "--socket", socket)
    assert shown.code == 0, shown.out
    assert re.search(r"^operator +\S+/operator\.sock +hived", shown.out, re.MULTILINE)
    raw = run.typed("doctor", "--exposure", "--json", "--socket", socket)
    assert any(one["name"] == "dashboard" for one in json.loads(raw.out)["listeners"])


@pytest.mark.needs("root")
async def test_a_listener_under_the_agents_user_is_found(hive: Hive) -> None:
    ids = hive.local.config.ids
    assert ids is not None
    program = (
        "import signal, socket; server = socket.create_server(('127.0.0.1', 0)); "
        "print(server.getsockname()[1], flush=True); signal.pause()"
    )
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", program],
        user=ids.agent,
        group=ids.agent,
        cwd="/",
        stdout=subprocess.PIPE,
    ) as child:
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            if not any(one.port == port for one in tcp_listeners()):
                pytest.skip("init's network is not this one")
            result = await hive.operator.call(api.EXPOSURE, NoParams())
            (found,) = (
                one for one in result.listeners if one.address.endswith(f":{port}")
            )
            assert found.name == "a program of an agent"
        finally:
            child.kill()
