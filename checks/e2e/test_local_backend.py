"""Agents as child processes: started, monitored, stopped and limited."""

import hashlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from checks.e2e.kit.local import WAIT, Bench, run, spec
from checks.kits.patience import PATIENCE_S
from checks.kits.sandbox.python import AGENT, suite_as_user
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.base import (
    ContainerEventKind,
)
from pyglue.process import RunAs
from pyglue.sandbox import Probe, Support

FENCE: Final = Path(__file__).with_name("test_local_fence.py")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


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
        done = await suite_as_user(Path(__file__), Path(room), FENCE)
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
