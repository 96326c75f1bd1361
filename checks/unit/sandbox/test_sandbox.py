"""The sandbox, tried from inside: every line here is one way out."""

import asyncio
import os
import platform
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.sandbox.python import (
    AGENT,
    CHECKOUT,
    give,
    inside,
    run_inside,
    suite_as_user,
)
from pyglue.process import Child, run_sync
from pyglue.sandbox import (
    Bind,
    SandboxSpec,
    prepare,
)

pytestmark = pytest.mark.needs("bwrap")
MORE = [
    Path(__file__).with_name(f"test_sandbox_{part}.py") for part in ("binds", "probe")
]


def test_powers() -> None:
    status = inside("status()")
    powers = {status[f"Cap{which}"] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert powers == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_identity_and_environment() -> None:
    found = inside(
        "[os.getuid(), os.getgid(), os.uname().nodename, "
        "os.environ.get('SECRET'), os.environ['GIVEN'], os.getcwd(), shell('id -un')]",
        hostname="alice",
        env={"GIVEN": "1"},
    )
    assert found == [1000, 1000, "alice", None, "1", "/", "agent\n"]


def test_descriptors_that_were_bound_do_not_stay_open(tmp_path: Path) -> None:
    state = give(tmp_path / "state")
    bind = Bind(source=state, target="/state", writable=True, below=tmp_path)
    found = inside("sorted(os.listdir('/proc/self/fd'))", bind)
    assert found == ["0", "1", "2", "3"]  # 3 is this listing itself


def test_files_of_the_host_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    places = ["/root", "/home", "/var", "/run/hyperhive", str(tmp_path), "/etc/shadow"]
    places += [str(CHECKOUT / name) for name in (".git", "checks", "web", ".hive")]
    assert inside(f"[p for p in {places!r} if os.path.exists(p)]") == []
    names = inside("sorted(os.listdir('/'))")
    expected = {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "nix", "proc"}
    expected |= {"sbin", "tmp", "usr"}
    own = {Path(sys.prefix).parts[1], CHECKOUT.parts[1], Path(sys.base_prefix).parts[1]}
    assert set(names) <= expected | own


def test_accounts_are_not_told() -> None:
    text = inside("[open('/etc/' + n).read() for n in ('passwd', 'hosts')]")
    assert "root" not in text[0]
    assert socket.gethostname() not in text[1]


def test_the_system_is_read_only() -> None:
    places = ["/x", "/usr/x", "/etc/x", "/dev/x", "/bin/x", f"{CHECKOUT}/pyglue/x"]
    found = inside(f"[attempt(open, p, 'w') for p in {places!r}]")
    assert set(found) == {"EROFS"}


def test_what_is_writable_is_the_agents_own(tmp_path: Path) -> None:
    state = give(tmp_path / "state")
    bind = Bind(source=state, target="/state", writable=True, below=tmp_path)
    assert inside("open('/state/a', 'w').write('x')", bind) == 1
    status = (state / "a").stat()
    assert status.st_uid == (os.geteuid() if AGENT is None else AGENT.uid)
    readable = Bind(source=state, target="/state", below=tmp_path)
    assert inside("attempt(open, '/state/b', 'w')", readable) == "EROFS"


def test_memory_file_systems_are_bounded() -> None:
    fill = "attempt(pathlib.Path({!r}).write_bytes, bytes(3_000_000))"
    for place in ("/tmp/x", "/dev/shm/x"):
        assert inside(fill.format(place), tmp_bytes=1_000_000) == "ENOSPC"


def test_no_network_but_its_own_loopback() -> None:
    names, answer = inside(
        "[[n for _, n in socket.if_nameindex()], "
        "attempt(socket.create_connection, ('192.0.2.1', 80), timeout=5)]"
    )
    assert names == ["lo"]
    assert answer == "ENETUNREACH"


def test_ports_of_the_host_are_refused_unless_networked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = f"attempt(socket.create_connection, {server.getsockname()}, timeout=5)"
        assert inside(call) == "ECONNREFUSED"
        assert inside(call, network=True) == "done"


def test_abstract_sockets_of_the_host_are_not_there() -> None:
    name = f"\0hive-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        call = f"attempt(socket.socket(socket.AF_UNIX).connect, {name!r})"
        assert inside(call) == "ECONNREFUSED"


def test_processes_of_the_host_are_not_there() -> None:
    found = inside("[int(p) for p in os.listdir('/proc') if p.isdigit()]")
    assert max(found) < 10
    assert inside(f"attempt(os.kill, {os.getpid()}, 0)") == "ESRCH"


def test_new_namespaces_are_refused() -> None:
    found = inside("[syscall(272, 0x10000000), syscall(272, 0x20000), syscall(435, 0)]")
    if platform.machine() == "x86_64":
        assert found == ["EPERM", "EPERM", "ENOSYS"]
    assert "not permitted" in inside("shell('unshare -U true')")
    with prepare(SandboxSpec(), ["true"], run_as=AGENT) as prepared:
        where = prepared.argv.index("--")
        asked = [*prepared.argv[:where], "--assert-userns-disabled", "--", "true"]
        done = run_sync(
            asked, env={}, timeout=PATIENCE_S, run_as=AGENT, pass_fds=prepared.pass_fds
        )
    assert done.code == 0, done.stderr  # the second wall, without the filter


def test_deep_calls_are_refused() -> None:
    found = inside(
        "(lambda s: {n: syscall(v[s._COLUMN[os.uname().machine]], 0, 0, 0, 0, 0)"
        " for n, v in s._DENIED.items()})"
        "(__import__('pyglue.sandbox.seccomp', fromlist=['x']))"
    )
    assert {name for name, said in found.items() if said != "EPERM"} == set()
    said = inside("[attempt(socket.socket, f, 1) for f in (40, 38, 17)]")
    assert set(said) == {"EAFNOSUPPORT"}


@pytest.mark.needs("root")
def test_a_setuid_file_gains_nothing(tmp_path: Path) -> None:
    state = give(tmp_path / "state")
    program = state / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    bind = Bind(source=state, target="/state", writable=True, below=tmp_path)
    assert "euid" not in inside("shell('/state/id')", bind)


def test_nothing_survives_its_end() -> None:
    code = (
        "import os, time\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.write(w, b'x')\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.read(r, 1)\n"
    )
    assert run_inside(code).code == 0
    assert not _sleepers("time.sleep(600)")


def _sleepers(part: str) -> list[int]:
    """Return processes whose command line has ``part``, after the dying are dead."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes()
            fd = os.pidfd_open(int(entry.name)) if part.encode() in line else None
        except (OSError, ValueError):
            continue
        if fd is not None:
            if int(entry.name) != os.getpid() and not select.select([fd], [], [], 5)[0]:
                found.append(int(entry.name))
            os.close(fd)
    return found


_PARENT = """
import asyncio, sys
sys.path.insert(0, {checkout!r})
from checks.kits.sandbox.python import AGENT
from pyglue.process import Child
from pyglue.sandbox import SandboxSpec, prepare

async def main():
    with prepare(SandboxSpec(), ["sh", "-c", "echo up; exec sleep 61.25"]) as p:
        child = Child.start(p.argv, env={{}}, run_as=AGENT, pass_fds=p.pass_fds,
                            on_line=lambda line: print(line, flush=True))
    await child.wait()

asyncio.run(main())
"""


def test_kill_of_the_parent_kills_all() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(checkout=str(CHECKOUT))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert not _sleepers("\0".join(["sleep", "61.25"]))


async def test_an_ending_child_takes_its_sandbox_along() -> None:
    up = asyncio.Event()
    program = ["sh", "-c", "echo up; exec sleep 61.5"]
    with prepare(SandboxSpec(), program) as prepared:
        child = Child.start(
            prepared.argv,
            env={},
            run_as=AGENT,
            pass_fds=prepared.pass_fds,
            on_line=lambda _line: up.set(),
        )
    async with asyncio.timeout(PATIENCE_S):
        await up.wait()
    assert await child.terminate(grace_s=5) < 0
    for words in (
        "\0".join(["sleep", "61.5"]),
        "sleep 61.5",
    ):  # the program's, and bubblewrap's
        assert not _sleepers(words)


@pytest.mark.needs("root")
async def test_all_of_this_as_an_ordinary_user() -> None:
    """Root's tests drop to a user in the sandbox; here hived itself is a user."""
    with tempfile.TemporaryDirectory(prefix="hive-user-") as room:
        os.chown(room, 62005, 62005)
        done = await suite_as_user(Path(__file__), Path(room), *MORE)
    assert done.code == 0, done.stdout.decode()[-4000:]
    assert b" passed" in done.stdout
