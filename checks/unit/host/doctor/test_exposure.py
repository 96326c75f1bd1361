"""``hive doctor --exposure``: real sockets, and the kernel's table of ports."""

import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from checks.kits.host.backend import Played
from checks.kits.host.store import Kit, open_kit
from pyglue.api.exposure import ExposureResult, Listener, ListenerKind
from pyglue.config import HiveConfig, Ids, WebConfig
from pyglue.host.backends.nixos_container import NixosContainerBackend
from pyglue.host.core.tcp_listeners import TcpListener, tcp_listeners
from pyglue.host.doctor.exposure import Exposure
from pyglue.jsonrpc import bind_unix

IDS = Ids(agent=62001, web=62002, relay=62003)
PORT = 7321


@pytest_asyncio.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    kit = await open_kit(tmp_path)
    yield kit
    await kit.store.close()


async def look(
    kit: Kit,
    room: Path,
    *table: TcpListener,
    units: tuple[str, ...] = (),
    ids: Ids | None = IDS,
) -> ExposureResult:
    config = HiveConfig(
        state_dir=str(room),
        runtime_dir=str(room / "run"),
        ids=ids,
        web=WebConfig(port=PORT),
    )
    return await Exposure(
        config=config,
        registry=kit.registry,
        backend=Played(units, shares=True),
        ports=None,
        table=lambda: table,
    ).examine()


def named(result: ExposureResult, name: str) -> Listener:
    (found,) = (one for one in result.listeners if one.name == name)
    return found


def make(path: Path, mode: int) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    return bind_unix(path, mode=mode, gid=None, kind=socket.SOCK_STREAM)


async def test_a_socket_is_shown_as_it_is(kit: Kit, tmp_path: Path) -> None:
    with make(tmp_path / "run/operator.sock", 0o660):
        found = named(await look(kit, tmp_path), "operator")
    assert found.kind is ListenerKind.UNIX
    assert found.mode == "0660" and found.problem is None
    assert f"({os.getuid()})" in (found.owner or "")
    assert "group" in found.reach and "every local user" not in found.reach


async def test_a_socket_that_everybody_may_use_is_a_problem(
    kit: Kit, tmp_path: Path
) -> None:
    for passage in (tmp_path, *tmp_path.parents):
        if passage.stat().st_uid == os.getuid() and not passage.stat().st_mode & 1:
            passage.chmod(passage.stat().st_mode | stat.S_IXOTH)
    with make(tmp_path / "run/operator.sock", 0o666):
        open_to_all = named(await look(kit, tmp_path), "operator")
        (tmp_path / "run").chmod(0o750)
        behind = named(await look(kit, tmp_path), "operator")
    assert "every local user" in open_to_all.reach
    assert "Every local user can connect" in (open_to_all.problem or "")
    assert behind.problem is None and "every local user" not in behind.reach


async def test_a_missing_socket_is_a_problem(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert "Cannot read " in (named(await look(kit, tmp_path), "relay").problem or "")


async def test_a_socket_that_nobody_declared_is_found(kit: Kit, tmp_path: Path) -> None:
    with make(tmp_path / "run/agents/ghost/other.sock", 0o600):
        found = named(await look(kit, tmp_path), "not declared")
    assert found.address.endswith("/ghost/other.sock")
    assert found.problem == "No part of the hive listens under this name."


async def test_the_dashboards_port_is_hive_webs(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    ours = await look(kit, tmp_path, TcpListener("127.0.0.1", PORT, IDS.web))
    assert named(ours, "dashboard").problem is None
    assert named(ours, "dashboard").user == str(IDS.web)
    roots = TcpListener("127.0.0.1", PORT, 0)
    assert "A process of root" in (
        named(await look(kit, tmp_path, roots), "dashboard").problem or ""
    )
    held = await look(kit, tmp_path, roots, units=NixosContainerBackend.units)
    assert named(held, "dashboard").problem is None, "systemd holds it"
    others = await look(kit, tmp_path, TcpListener("0.0.0.0", PORT, 4321))  # noqa: S104
    assert "A process of 4321 is listening there" in (
        named(others, "dashboard").problem or ""
    )
    gone = await look(kit, tmp_path, TcpListener("127.0.0.1", 1, 0))
    assert named(gone, "dashboard").problem == "Nothing is listening there."
    unknown = await look(kit, tmp_path)
    assert named(unknown, "dashboard").problem is None


async def test_what_an_agent_opens_on_the_host_is_found(
    kit: Kit, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    agents = TcpListener("0.0.0.0", 9999, IDS.agent)  # noqa: S104
    found = await look(kit, tmp_path, agents, TcpListener("::1", 22, 0))
    program = named(found, "a program of an agent")
    assert program.address == "0.0.0.0:9999" and "Every host" in program.reach
    assert not any(one.address.endswith(":22") for one in found.listeners)
    unknown = await look(kit, tmp_path, agents, ids=None)
    assert not any(one.address.endswith(":9999") for one in unknown.listeners)


async def test_an_agents_forwarder_is_apart_unless_it_has_the_hosts_network(
    kit: Kit, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    await kit.agent("alice")
    await kit.agent("bob", network=True)
    found = await look(kit, tmp_path)
    assert named(found, "model forwarder of alice").kind is ListenerKind.SANDBOX
    bob = named(found, "model forwarder of bob")
    assert bob.kind is ListenerKind.TCP and "Every local process" in bob.reach


async def test_scores_are_systemds_own(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    program = tmp_path / "systemd-analyze"
    program.write_text(
        "#!/bin/sh\n[ $1 = security ] || exit 2\n"
        'echo "→ Overall exposure level for hived.service: 3.1 OK :-)"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert (await look(kit, tmp_path)).units == ()
    found = await look(kit, tmp_path, units=NixosContainerBackend.units)
    scores = {one.unit: one.score for one in found.units}
    assert scores == {
        "hived.service": 3.1,
        "hive-web.service": None,
        "hive-relay.service": None,
    }
    assert found.units[1].problem == "systemd-analyze reports no score for it."


def test_the_kernels_table_is_read() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        wanted = {
            TcpListener("127.0.0.1", four.getsockname()[1], os.getuid()),
            TcpListener("::1", six.getsockname()[1], os.getuid()),
        }
        assert wanted <= set(tcp_listeners(Path("/proc/self/net")))
    assert tcp_listeners(Path("/nonexistent")) == ()
