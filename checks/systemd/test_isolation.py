"""What root in a container cannot do, tried as such on the shared hive.

Private users, idmapped binds, no network: what the production backend promises beyond
what a sandbox does.
"""

import json
from typing import Any

import pytest

from checks.systemd.hive import IDS, PORT, RUNTIME, STATE, SystemHive
from pyglue.api.manager import START, STOP, AgentParams
from pyglue.host.agents.modes import UNMAPPED_UID

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

ATTEMPT = """
import ctypes, errno, json, os, pathlib, shutil, socket, subprocess

def attempt(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def unix(path):
    with socket.socket(socket.AF_UNIX) as sock:
        return attempt(sock.connect, path)

def tcp(host, port):
    with socket.socket() as sock:
        sock.settimeout(5)
        return attempt(sock.connect, (host, port))

def write(path):
    return attempt(pathlib.Path(path).write_text, "mine")

print(json.dumps(%s))
"""


def tried(hive: SystemHive, agent: str, what: str, *, user: str = "root") -> Any:
    """Return the value of a Python expression in a container."""
    return hive.inside(agent, ATTEMPT % what, user=user)


async def test_root_inside_is_nobody_outside(hive: SystemHive) -> None:
    assert tried(hive, "alice", "os.getuid()") == 0
    uid_map = tried(hive, "alice", "open('/proc/self/uid_map').read().split()")
    start, base, count = map(int, uid_map)
    assert (start, count) == (0, 65536)
    assert base > 0 and base % 65536 == 0
    status = (hive.machine.root / f"proc/{hive.leader('alice')}/status").read_text()
    uids = status.partition("\nUid:")[2].split()[:4]
    assert set(uids) == {str(base)}


async def test_two_containers_share_no_user(hive: SystemHive) -> None:
    look = "open('/proc/self/uid_map').read().split()[1]"
    assert tried(hive, "alice", look) != tried(hive, "manager", look)


async def test_the_agent_writes_its_state_and_nothing_of_the_host(
    hive: SystemHive,
) -> None:
    places = ("/run/hive", "/nix/store", "/usr", "/etc", "/", "/nix/var/nix/db")
    what = f"[write('/state/mine'), [write(p + '/x') for p in {places!r}]]"
    state, others = tried(hive, "alice", what, user="agent")
    assert state == "done"
    assert "done" not in others
    written = hive.machine.root / f"{STATE}/agents/alice/state/mine".lstrip("/")
    assert (written.stat().st_uid, written.stat().st_gid) == (IDS.agent, IDS.agent)


async def test_container_root_writes_nothing_that_is_bound_read_only(
    hive: SystemHive,
) -> None:
    paths = ("/run/hive/manifest.json", "/run/hive/x", "/nix/store/x", "/usr/x")
    assert "done" not in tried(hive, "alice", f"[write(p) for p in {paths!r}]")
    remount = (
        "subprocess.run(['mount', '-o', 'remount,rw,bind', '/run/hive'],"
        " stderr=subprocess.DEVNULL).returncode"
    )
    assert tried(hive, "alice", remount) != 0


async def test_the_socket_works_and_others_are_not_there(hive: SystemHive) -> None:
    places = (
        f"{RUNTIME}/operator.sock",
        f"{RUNTIME}/relay.sock",
        f"{RUNTIME}/egress.sock",
        f"{RUNTIME}/agents/manager/hive.sock",
        f"{STATE}/hive.db",
        "/run/dbus/system_bus_socket_host",
    )
    own = tried(hive, "alice", "unix('/run/hive/hive.sock')", user="agent")
    assert own == "done"
    found = tried(hive, "alice", f"[unix(p) for p in {places!r}]")
    assert set(found) == {"ENOENT"}
    assert tried(hive, "alice", f"os.path.exists({STATE!r})") is False


async def test_no_network_leads_to_the_dashboard(hive: SystemHive) -> None:
    answers = hive.machine.python(
        "-c",
        f"import socket; socket.create_connection(('127.0.0.1', {PORT})); print('yes')",
    )
    assert answers.out == "yes\n"
    what = (
        f"[tcp('127.0.0.1', {PORT}), tcp('192.0.2.1', 443), "
        "[name for _, name in socket.if_nameindex()]]"
    )
    loopback, outside, interfaces = tried(hive, "alice", what)
    assert (loopback, outside) == ("ECONNREFUSED", "ENETUNREACH")
    assert interfaces == ["lo"]


async def test_the_dashboards_port_is_held_while_it_restarts(hive: SystemHive) -> None:
    for address in ("127.0.0.1", "::1"):
        what = f"""import errno, socket, subprocess
subprocess.run(["systemctl", "stop", "hive-web.service"], check=True)
family = socket.AF_INET6 if ":" in {address!r} else socket.AF_INET
try:
    socket.create_server(({address!r}, {PORT}), family=family)
except OSError as error:
    print(errno.errorcode[error.errno])
there = socket.create_connection(({address!r}, {PORT}), timeout=60)
there.sendall(b"GET /login HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
print(there.recv(12).decode())
"""
        said = hive.machine.python("-c", what).out
        assert said == "EADDRINUSE\nHTTP/1.1 200\n"


async def test_manager_root_cannot_move_or_replace_what_is_bound(
    hive: SystemHive,
) -> None:
    what = """[
        attempt(os.rename, '/agents/alice/state', '/agents/alice/gone'),
        attempt(os.rename, '/agents/alice', '/agents/gone'),
        attempt(os.symlink, '/etc', '/agents/alice/link'),
        attempt(os.mkdir, '/agents/new'),
        attempt(os.rmdir, '/agents/alice/config'),
        attempt(os.chown, '/agents/alice', 0, 0),
        attempt(os.chmod, '/agents', 0o777),
        write('/applied/alice.git/HEAD'),
    ]"""
    assert "done" not in tried(hive, "manager", what)
    home = hive.machine.root / f"{STATE}/agents/alice".lstrip("/")
    assert home.stat().st_uid == UNMAPPED_UID
    assert sorted(path.name for path in home.iterdir()) == ["config", "state"]


async def test_a_setuid_program_left_in_what_is_bound_is_inert(
    hive: SystemHive,
) -> None:
    leave = """[
        shutil.copy('/usr/bin/id', '/agents/alice/state/suid'),
        os.chown('/agents/alice/state/suid', 0, 0),
        os.chmod('/agents/alice/state/suid', 0o6755),
        attempt(os.mknod, '/agents/alice/state/disk', 0o60666, os.makedev(8, 0)),
    ]"""
    *_, device = tried(hive, "manager", leave)
    assert device != "done"
    left = hive.machine.root / f"{STATE}/agents/alice/state/suid".lstrip("/")
    assert left.stat().st_mode & 0o6000 == 0o6000  # so there is something to stop
    who = "subprocess.run(['/state/suid', '-u'], stdout=-1, text=True).stdout"
    assert tried(hive, "alice", who, user="agent").strip() == str(IDS.agent)
    passing = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    outside = hive.machine.run(
        *("sh", "-c", f"cd {STATE}/agents/alice/state; {' '.join(passing)} ./suid -u"),
        check=False,
    )
    assert outside.out.strip() != "0"
    left.unlink()


async def test_what_agents_write_is_mounted_nosuid_and_nodev(hive: SystemHive) -> None:
    flags = hive.machine.run("findmnt", "-no", "OPTIONS", f"{STATE}/agents").out
    assert {"nosuid", "nodev"} <= set(flags.strip().split(","))


async def test_devices_and_modules_of_the_host_are_out_of_reach(
    hive: SystemHive,
) -> None:
    what = """[
        attempt(os.mknod, '/tmp/disk', 0o60666, os.makedev(8, 0)),
        write('/proc/sys/kernel/hostname_of_host'),
        write('/proc/sysrq-trigger'),
        write('/sys/fs/cgroup/cgroup.procs_of_host'),
        attempt(os.setns, os.open('/proc/1/ns/user', os.O_RDONLY), 0)
            if hasattr(os, 'setns') else 'EPERM',
    ]"""
    assert "done" not in tried(hive, "alice", what)


async def test_the_record_inside_is_what_was_approved(hive: SystemHive) -> None:
    inside = tried(hive, "alice", "json.load(open('/run/hive/manifest.json'))")
    place = hive.machine.root / f"{RUNTIME}/agents/alice/manifest.json".lstrip("/")
    assert inside == json.loads(place.read_text())


async def test_no_link_in_its_root_leads_the_start_script_over_the_host(
    hive: SystemHive,
) -> None:
    """NixOS's script sets modes and touches files there, as root of the host."""
    root = "/var/lib/nixos-containers/h-alice"
    hive.machine.run("mkdir", "-m", "0755", "/srv/victim")
    swap = """[
        attempt(os.rename, '/root', '/root-before'),
        attempt(os.symlink, '/srv/victim', '/root'),
        attempt(os.rename, '/etc/machine-id', '/etc/machine-id-before'),
        attempt(os.symlink, '/srv/victim/touched', '/etc/machine-id'),
    ]"""
    assert set(tried(hive, "alice", swap)) == {"done"}
    alice = AgentParams(agent="alice")
    stopped = (await hive.operator.call(STOP, alice)).operation
    assert (await hive.operation(stopped)).error is None
    start = (await hive.operator.call(START, alice)).operation
    refused = (await hive.operation(start)).error
    assert refused is not None and "created a link" in refused
    victim = hive.machine.root / "srv/victim"
    assert victim.stat().st_mode & 0o777 == 0o755
    assert list(victim.iterdir()) == []
    for place in ("root", "etc/machine-id"):
        hive.machine.run("rm", f"{root}/{place}")
        hive.machine.run("mv", f"{root}/{place}-before", f"{root}/{place}")
    start = (await hive.operator.call(START, alice)).operation
    assert (await hive.operation(start)).error is None
    await hive.idle("alice")
