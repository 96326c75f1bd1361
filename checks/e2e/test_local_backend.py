"""Agents as child processes: started, monitored, stopped, limited, and isolated."""

import asyncio
import hashlib
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.sandbox.python import AGENT, suite_as_user
from pyglue.config import HiveConfig, Ids
from pyglue.errors import ErrorCode, HiveError
from pyglue.files import nofollow
from pyglue.host.backends.admitting import Gate
from pyglue.host.backends.base import (
    AgentSpec,
    ContainerEvent,
    ContainerEventKind,
)
from pyglue.host.backends.inside import Inside
from pyglue.host.backends.local import LocalBackend
from pyglue.process import RunAs
from pyglue.sandbox import Probe, Support

WAIT = "import signal; print('up', flush=True); signal.pause()"


class Bench:
    """A backend that runs given Python instead of the harness, and what it said."""

    def __init__(self, room: Path) -> None:
        self.config = HiveConfig(
            state_dir=str(room / "state"),
            runtime_dir=str(room / "state" / "run"),
            ids=None if AGENT is None else Ids(agent=AGENT.uid, web=62002, relay=62003),
        )
        self.layout = self.config.layout
        self.events: list[ContainerEvent] = []
        self._changed = asyncio.Event()
        self._backends: list[LocalBackend] = []
        for path in (self.layout.logs, self.layout.applied_root):
            path.mkdir(parents=True)
        self.room("a")
        self.room("b")

    def room(self, name: str) -> None:
        """Make an agent's directories as hived does."""
        for path in (self.layout.agent_state(name), self.layout.session(name)):
            path.mkdir(parents=True)
            if AGENT is not None:
                os.chown(path, AGENT.uid, AGENT.gid)
        self.layout.run(name).mkdir(parents=True)

    def backend(self, code: str) -> LocalBackend:
        """Return a backend whose agents run ``code``."""
        backend = LocalBackend(self.config, program=("-c", code))
        backend.watch(self._take)
        self._backends.append(backend)
        return backend

    def _take(self, event: ContainerEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def event(self, kind: ContainerEventKind) -> ContainerEvent:
        """Wait for the next event of a kind and take it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.events:
                    if event.kind is kind:
                        self.events.remove(event)
                        return event
                self._changed.clear()
                await self._changed.wait()

    async def said(self, backend: LocalBackend, name: str, text: str) -> None:
        """Wait until an agent has written a line."""
        child = backend._running[name].child
        async with asyncio.timeout(PATIENCE_S):
            while text not in child.lines:
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Stop everything."""
        for backend in self._backends:
            await backend.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


def spec(
    name: str = "a",
    *,
    manager: bool = False,
    network: bool = False,
    memory_max: int | None = None,
) -> AgentSpec:
    return AgentSpec(
        name=name,
        manager=manager,
        record=b'{"manifest":{}}',
        network=network,
        memory_max=memory_max,
        cpu_quota=50,
    )


async def run(bench: Bench, code: str, agent: AgentSpec) -> ContainerEvent:
    """Run code as an agent to its end."""
    backend = bench.backend(code)
    await backend.apply(agent)
    await backend.start(agent)
    return await bench.event(ContainerEventKind.CRASHED)


@pytest.mark.needs("bwrap")
async def test_start_and_stop(bench: Bench) -> None:
    backend = bench.backend(WAIT)
    assert "bubblewrap" in backend.isolation
    await backend.apply(spec())
    await backend.start(spec())
    await backend.start(spec())  # again: no error, no second one
    assert backend.running("a")
    await bench.said(backend, "a", "up")
    await backend.stop("a", grace_s=PATIENCE_S)
    assert not backend.running("a")
    await backend.stop("a")
    assert [event.kind for event in bench.events] == [
        ContainerEventKind.STARTED,
        ContainerEventKind.STOPPED,
    ]
    assert backend.log_tail("a", 5) == ("up",)


@pytest.mark.needs("bwrap")
async def test_the_program_itself_is_asked_to_end(bench: Bench) -> None:
    code = (
        "import signal, sys, pathlib\n"
        "def end(*_):\n"
        "    pathlib.Path('/state/ended').touch()\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()\n"
    )
    backend = bench.backend(code)
    await backend.apply(spec())
    await backend.start(spec())
    await bench.said(backend, "a", "up")
    await backend.stop("a", grace_s=PATIENCE_S)
    assert (bench.layout.agent_state("a") / "ended").exists()


@pytest.mark.needs("bwrap")
async def test_stop_leaves_nothing_even_if_all_refuse(bench: Bench) -> None:
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        break\n"
        "else:\n"
        "    print('up', flush=True)\n"
        "while True: signal.pause()  # 77.125\n"
    )
    backend = bench.backend(code)
    await backend.apply(spec())
    await backend.start(spec())
    await bench.said(backend, "a", "up")
    await backend.stop("a", grace_s=0.1)
    assert _with_argument("77.125") == []


def _with_argument(part: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if part.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.needs("bwrap")
async def test_a_crash_is_an_event_with_cause_and_log(bench: Bench) -> None:
    code = "import sys; [print('line', n) for n in range(30)]; sys.exit(3)"
    crash = await run(bench, code, spec())
    assert crash.reason == "Its process exited: exit code 3."
    assert crash.log_tail[-1] == "line 29"
    assert len(crash.log_tail) == 20


@pytest.mark.needs("bwrap")
async def test_a_kill_inside_is_told_as_a_signal(bench: Bench) -> None:
    crash = await run(bench, "import os; os.kill(os.getpid(), 9)", spec())
    assert crash.reason == "Its process exited: killed by SIGKILL."


@pytest.mark.needs("bwrap")
async def test_kill_of_the_sandbox_itself(bench: Bench) -> None:
    backend = bench.backend(WAIT)
    await backend.apply(spec())
    await backend.start(spec())
    await bench.said(backend, "a", "up")
    os.kill(backend._running["a"].child.pid, signal.SIGKILL)
    crash = await bench.event(ContainerEventKind.CRASHED)
    assert crash.reason == "Its process exited: killed by SIGKILL."
    await backend.start(spec())  # and it can be brought back
    assert backend.running("a")


LOOK = """
import json, os, pathlib
def attempt(path):
    try:
        pathlib.Path(path).write_text("x")
    except OSError as error:
        return type(error).__name__
    return "written"
print(json.dumps({
    "top": sorted(os.listdir("/")),
    "run": sorted(os.listdir("/run/hive")),
    "agents": sorted(os.listdir("/agents")) if os.path.isdir("/agents") else None,
    "record": pathlib.Path("/run/hive/manifest.json").read_text(),
    "writes": {p: attempt(p + "/x") for p in
        ("/state", "/session", "/run/hive", "/applied", "/agents/b/state")},
    "cwd": os.getcwd(),
    "home": os.environ["HOME"],
    "environ": sorted(os.environ),
}))
"""


async def look(bench: Bench, agent: AgentSpec) -> dict[str, object]:
    crash = await run(bench, LOOK, agent)
    assert crash.log_tail and crash.log_tail[-1].startswith("{"), crash
    found: dict[str, object] = json.loads(crash.log_tail[-1])
    return found


@pytest.mark.needs("bwrap")
async def test_what_an_agent_sees(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    (bench.layout.runtime / "operator.sock").touch()
    found = await look(bench, spec())
    assert found["run"] == ["manifest.json"]
    assert found["record"] == '{"manifest":{}}'
    assert found["agents"] is None
    assert found["writes"] == {
        "/state": "written",
        "/session": "written",
        "/run/hive": "OSError",
        "/applied": "FileNotFoundError",
        "/agents/b/state": "FileNotFoundError",
    }
    assert (found["cwd"], found["home"]) == ("/state", "/state")
    assert "ANTHROPIC_API_KEY" not in str(found["environ"])
    assert not {"var", "root", "home"} & set(str(found["top"]).split("'"))


@pytest.mark.needs("bwrap")
async def test_what_the_manager_sees(bench: Bench) -> None:
    found = await look(bench, spec(manager=True))
    assert found["agents"] == ["a", "b"]
    assert found["writes"] == {
        "/state": "written",
        "/session": "written",
        "/run/hive": "OSError",
        "/applied": "OSError",
        "/agents/b/state": "written",
    }


MOVES = """
import json, os, pathlib
def attempt(work, *args):
    try:
        work(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
import errno
found = {
    "rename": attempt(os.rename, "/agents/b", "/agents/c"),
    "rename a part": attempt(os.rename, "/agents/b/state", "/agents/b/gone"),
    "remove a part": attempt(os.rmdir, "/agents/b/state"),
    "link": attempt(os.symlink, "/etc", "/agents/d"),
    "link beside": attempt(os.symlink, "/etc", "/agents/b/private"),
    "mode": attempt(os.chmod, "/agents/b", 0o777),
    "write": attempt(pathlib.Path("/agents/b/state/x").write_text, "x"),
}
print(json.dumps(found), flush=True)
"""


@pytest.mark.needs("bwrap")
async def test_the_manager_replaces_nothing(bench: Bench) -> None:
    crash = await run(bench, MOVES, spec(manager=True))
    assert json.loads(crash.log_tail[-1]) == {
        "rename": "EROFS",
        "rename a part": "EROFS",
        "remove a part": "EROFS",
        "link": "EROFS",
        "link beside": "EROFS",
        "mode": "EROFS",
        "write": "done",
    }


LATER = """
import pathlib, signal
def look(*_):
    for part in ("config", "state"):
        pathlib.Path("/agents/later", part, "written").write_text("x")
    print("wrote", flush=True)
signal.signal(signal.SIGUSR1, look)
print("up", flush=True)
while True: signal.pause()
"""


@pytest.mark.needs("bwrap")
async def test_a_running_manager_writes_to_an_agent_that_is_made_later(
    bench: Bench,
) -> None:
    backend = bench.backend(LATER)
    await backend.apply(spec(manager=True))
    await backend.start(spec(manager=True))
    await bench.said(backend, "a", "up")
    bench.room("later")
    config = bench.layout.config("later")
    config.mkdir()
    if AGENT is not None:
        os.chown(config, AGENT.uid, AGENT.gid)
    await asyncio.to_thread(backend.admit, "later")
    await asyncio.to_thread(backend.admit, "later")  # again is no error
    inside = Inside.of(backend._running["a"].child.pid)
    assert inside is not None and inside.program is not None
    os.kill(inside.program, signal.SIGUSR1)
    inside.close()
    await bench.said(backend, "a", "wrote")
    assert backend._admitting.problem is None
    # It may go again, although it is mounted in a sandbox.
    nofollow.remove(bench.layout.state, bench.layout.agents / "later")
    assert not (bench.layout.agents / "later").exists()


@pytest.mark.needs("bwrap")
async def test_what_cannot_be_opened_is_a_warning(bench: Bench) -> None:
    outside = bench.layout.state / "outside"
    outside.mkdir()
    bench.layout.config("b").symlink_to(outside)
    backend = bench.backend(WAIT)
    await backend.apply(spec(manager=True))
    await backend.start(spec(manager=True))
    await bench.said(backend, "a", "up")
    assert "/agents/b/config" in str(backend.warnings)


@pytest.mark.needs("bwrap")
async def test_a_manager_that_ends_before_it_is_ready(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = bench.backend(WAIT)
    monkeypatch.setattr(Gate, "ready", _killed(backend))
    await backend.apply(spec(manager=True))
    await backend.start(spec(manager=True))
    await bench.event(ContainerEventKind.CRASHED)


def _killed(backend: LocalBackend) -> Callable[[Gate], Awaitable[bool]]:
    real = Gate.ready

    async def ready(gate: Gate) -> bool:
        backend._running["a"].child.kill()
        return await real(gate)

    return ready


@pytest.mark.needs("bwrap")
async def test_a_swapped_state_directory_is_refused(bench: Bench) -> None:
    state = bench.layout.agent_state("a")
    state.rmdir()
    state.symlink_to(bench.layout.agent_state("b"))
    backend = bench.backend(WAIT)
    await backend.apply(spec())
    with pytest.raises(HiveError) as refused:
        await backend.start(spec())
    assert refused.value.code is ErrorCode.FORBIDDEN
    assert not backend.running("a")


async def test_apply_replaces_the_record_at_once(bench: Bench) -> None:
    backend = bench.backend(WAIT)
    await backend.apply(spec())
    place = bench.layout.run("a") / "manifest.json"
    first = place.stat()
    # root's belongs to root, and is read by the agent's group
    assert first.st_mode & 0o777 == (0o600 if AGENT is None else 0o640)
    assert first.st_gid == os.getegid() if AGENT is None else AGENT.gid
    await backend.apply(spec())
    assert place.stat().st_ino != first.st_ino
    assert [path.name for path in place.parent.iterdir()] == ["manifest.json"]


@pytest.mark.needs("bwrap")
async def test_memory_is_limited_or_said_not_to_be(bench: Bench) -> None:
    code = "data = b'x' * (600 << 20); print('had it all')"
    backend = bench.backend(code)
    await backend.apply(spec())
    await backend.start(spec(memory_max=200 << 20))
    crash = await bench.event(ContainerEventKind.CRASHED)
    if backend.warnings:
        assert "not enforced" in backend.warnings[0]
        assert crash.log_tail == ("had it all",)
    else:
        assert "SIGKILL" in crash.reason


def groups(state: Path) -> list[Path]:
    name = f"hyperhive-{hashlib.sha256(os.fsencode(state)).hexdigest()[:8]}"
    return list(Path("/sys/fs/cgroup").glob(f"**/{name}"))


@pytest.mark.needs("bwrap")
async def test_limits_leave_no_group_behind(bench: Bench) -> None:
    backend = bench.backend(WAIT)
    assert groups(bench.layout.state) == []
    await backend.apply(spec())
    await backend.start(spec(memory_max=1 << 30))
    await backend.start(spec("b"))
    await backend.stop("a")
    assert backend.running("b")
    await backend.stop("b")
    assert groups(bench.layout.state) == []


@pytest.mark.needs("root", "bwrap")
async def test_all_of_this_as_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory(prefix="hive-user-") as room:
        os.chown(room, 62005, 62005)
        done = await suite_as_user(Path(__file__), Path(room))
    assert done.code == 0, done.stdout.decode()[-4000:]


# --- without bubblewrap ---------------------------------------------------------------


def without(monkeypatch: pytest.MonkeyPatch, support: Support) -> None:
    def found(_run_as: RunAs | None) -> Probe:
        return Probe(support, "bubblewrap is not installed.")

    monkeypatch.setattr("pyglue.host.backends.local_support.probe", found)


async def test_refused_with_what_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, Support.REFUSED)
    backend = bench.backend(WAIT)
    await backend.apply(spec())
    with pytest.raises(HiveError) as refused:
        await backend.start(spec())
    assert refused.value.code is ErrorCode.SANDBOX_UNAVAILABLE
    assert "bubblewrap is not installed" in refused.value.message
    assert "HIVE_UNSAFE_NO_SANDBOX=1" in refused.value.message
    assert backend.isolation == "agents cannot be started"


ARGUMENTS = "import sys, os; print(os.geteuid(), *sys.argv[1:])"


@pytest.mark.needs("root")
async def test_by_user_id_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, Support.UID_ONLY)
    backend = bench.backend(ARGUMENTS)
    assert "only by their user IDs" in backend.warnings[0]
    await backend.apply(spec())
    await backend.start(spec())
    crash = await bench.event(ContainerEventKind.CRASHED)
    uid, *flags = crash.log_tail[-1].split()
    assert AGENT is not None
    assert uid == str(AGENT.uid)
    places = dict(zip(flags[::2], flags[1::2], strict=True))
    assert places["--run-dir"] == str(bench.layout.run("a"))
    assert places["--state"] == str(bench.layout.agent_state("a"))
    assert places["--session"] == str(bench.layout.session("a"))
    assert not Path(places["--agents"]).exists()


async def test_unsafe_by_demand(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, Support.UNSAFE)
    backend = bench.backend(ARGUMENTS)
    assert backend.warnings[0].startswith("NO SANDBOX")
    await backend.apply(spec(manager=True))
    await backend.start(spec(manager=True))
    crash = await bench.event(ContainerEventKind.CRASHED)
    flags = crash.log_tail[-1].split()
    assert flags[flags.index("--agents") + 1] == str(bench.layout.agents)
