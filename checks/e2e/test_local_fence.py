"""Agents as child processes: what each sees, changes and cannot reach."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from checks.e2e.kit.local import WAIT, Bench, run, spec
from checks.kits.sandbox.python import AGENT
from pyglue.errors import ErrorCode, HiveError
from pyglue.files import nofollow
from pyglue.host.backends.admitting import Gate
from pyglue.host.backends.base import (
    AgentSpec,
    ContainerEventKind,
)
from pyglue.host.backends.inside import Inside
from pyglue.host.backends.local import LocalBackend


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


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
