"""``hive run`` and ``hive demo`` as typed by a new user, in real processes."""

import asyncio
import fcntl
import json
import os
import re
import signal
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from checks.kits.host.hive import let_pass
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import command, family

pytestmark = pytest.mark.needs("nix", "git", "bwrap")

HIVE = (sys.executable, "-m", "pyglue.cli.hive")
OPEN_FILES = 4096
DAEMONS = {f"pyglue.{name}.main" for name in ("host", "relay", "web")}


def open_room(room: Path) -> Path:
    """Let the users of a hive that root starts walk to ``room``."""
    let_pass(room)
    return room / "state"


@asynccontextmanager
async def started(
    state: Path, port: int, **env: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``hive run`` until it says that it is ready."""
    ours = {k: v for k, v in os.environ.items() if k != "ANTHROPIC_API_KEY"}
    process = await asyncio.create_subprocess_exec(
        *("prlimit", f"--nofile=1024:{OPEN_FILES}", "--"),
        *HIVE,
        "run",
        "--state",
        str(state),
        env=ours | env | {"HIVE_PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    told: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while b"Press Ctrl-C to stop it" not in (told[-1] if told else b""):
            line = await process.stdout.readline()
            assert line, b"".join(told).decode()
            told.append(line)
    text = b"".join(told).decode()
    link = rf"http://[0-9a-f]{{32}}\.localhost:{port}/login\?code=[\w-]{{43}}\n"
    assert re.search(link, text), text
    assert "scripted model" in text
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def parts(state: Path) -> list[int]:
    """Return the processes that have anything of this hive's state open or named."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_bytes() + os.fsencode(
                " ".join(str(link.readlink()) for link in (entry / "fd").iterdir())
            )
        except OSError:
            continue
        if os.fsencode(state) in text and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def open_files(run: int) -> dict[str, int]:
    """Return how many files each daemon may open now."""
    found = {}
    for pid in family(run):
        for daemon in DAEMONS.intersection(command(pid)):
            limits = Path(f"/proc/{pid}/limits").read_text()
            found[daemon] = int(limits.partition("Max open files")[2].split()[0])
    return found


async def gone(state: Path) -> None:
    """Return when no process of the hive is left."""
    async with asyncio.timeout(PATIENCE_S):
        while left := parts(state):
            await _ended(left[0])


async def _ended(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    await ended.wait()
    loop.remove_reader(descriptor)
    os.close(descriptor)


async def said(process: asyncio.subprocess.Process, *parts: str) -> str:
    """Return the next line of ``hive run`` that holds these."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while line := (await process.stdout.readline()).decode():
            if all(part in line for part in parts):
                return line
    raise AssertionError(f"{parts} was not said")


async def ended(*words: str | Path, **env: str) -> tuple[int, str]:
    """Run the command to its end; return its code and what it said on stderr."""
    process = await asyncio.create_subprocess_exec(
        *HIVE, *words, env=os.environ | env, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


def part_of(run: int, name: str) -> int:
    """Return the first process of one daemon; the dashboard has workers."""
    return min(p for p in family(run) if f"pyglue.{name}.main" in command(p))


def room_of(run: int) -> Path:
    """Return the temporary directory of a run."""
    line = command(part_of(run, "host"))
    return Path(line[line.index("--config") + 1]).parent


@dataclass(frozen=True, kw_only=True)
class Run:
    """A ``hive run`` that is ready."""

    state: Path
    port: int
    process: asyncio.subprocess.Process

    async def serves_and_leaves_nothing_behind(self, how: signal.Signals) -> None:
        """End it, having seen it serve."""
        url = f"http://127.0.0.1:{self.port}/login"
        answer = await asyncio.to_thread(urllib.request.urlopen, url)
        assert answer.status == 200
        assert parts(self.state)
        assert open_files(self.process.pid) == dict.fromkeys(DAEMONS, OPEN_FILES)
        self.process.send_signal(how)
        assert await self.process.wait() == 0
        await gone(self.state)


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """Give a temporary directory whose name leaves room for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(
    tmp_path_factory: pytest.TempPathFactory, short: Path
) -> AsyncIterator[Run]:
    """Give one that the next five tests leave as they found it; the sixth ends it.

    Its temporary directory is ``short``.
    """
    state, port = open_room(tmp_path_factory.mktemp("run")), free_port()
    async with started(state, port, TMPDIR=str(short)) as process:
        yield Run(state=state, port=port, process=process)


async def test_run_serves_and_leaves_nothing_behind(tmp_path: Path) -> None:
    state, port = open_room(tmp_path), free_port()
    async with started(state, port) as process:
        run = Run(state=state, port=port, process=process)
        await run.serves_and_leaves_nothing_behind(signal.SIGINT)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_second_run_is_refused_and_changes_nothing(run: Run) -> None:
    state = run.state
    before = {path: path.lstat() for path in (state, *state.iterdir())}
    for other in (free_port(), run.port):
        code, errors = await ended("run", "--state", state, "--port", str(other))
        assert code == 1
        assert f"Another hive is running on {state}. Stop it first" in errors
    after = {path: path.lstat() for path in (state, *state.iterdir())}
    for path in (state, state / "run", state / "logs"):
        assert before[path].st_ino == after[path].st_ino
    assert await ended("status", "--state", state) == (0, "")


@pytest.mark.asyncio(loop_scope="module")
async def test_the_scripted_model_is_nobody_and_answers_only_the_relay(
    run: Run,
) -> None:
    everyone = {pid: command(pid) for pid in family(run.process.pid)}
    (model,) = (
        pid for pid, line in everyone.items() if "pyglue.demo.scripted_model" in line
    )
    (relay,) = (line for line in everyone.values() if "pyglue.relay.main" in line)
    found = json.loads(Path(relay[relay.index("--config") + 1]).read_text())
    key = Path(found["relay"]["api_key_file"]).read_text()
    status = Path(f"/proc/{model}/status").read_text()
    uids = set(status.partition("Uid:")[2].splitlines()[0].split())
    groups = status.partition("Groups:")[2].splitlines()[0].split()
    if os.geteuid() == 0:
        assert uids.isdisjoint({"0", str(found["ids"]["relay"])})
        assert str(found["ids"]["group"]) not in groups
    assert not any(key in part for line in everyone.values() for part in line)

    def asked(shown: str) -> int:
        request = urllib.request.Request(  # noqa: S310 - a loopback address
            f"{found['relay']['upstream_url']}/v1/messages",
            data=b'{"model":"m","messages":[]}',
            headers={"x-api-key": shown},
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert [await asyncio.to_thread(asked, shown) for shown in ("scripted", key)] == [
        401,
        200,
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ["web", "relay"])
async def test_a_part_that_dies_is_started_again_alone(run: Run, name: str) -> None:
    process = run.process
    hived, before = part_of(process.pid, "host"), part_of(process.pid, name)
    os.kill(before, signal.SIGKILL)
    line = await said(process, f"hive-{name} exited")
    assert "killed by SIGKILL). Starting it again in 0.5 s." in line
    await said(process, f"hive-{name} is running again.")
    assert part_of(process.pid, name) != before
    assert part_of(process.pid, "host") == hived
    url = f"http://127.0.0.1:{run.port}/login"
    answer = await asyncio.to_thread(urllib.request.urlopen, url)
    assert answer.status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_a_killed_run_leaves_a_key_that_the_next_start_removes(
    run: Run, short: Path, tmp_path: Path
) -> None:
    """Whatever state directory that has; another hive's stays where it is.

    The next one ends by SIGTERM, and leaves nothing either.
    """
    open_room(tmp_path)
    first, second, port = tmp_path / "one", tmp_path / "two", free_port()
    async with started(first, free_port(), TMPDIR=str(short)) as process:
        room = room_of(process.pid)
        assert (room / "api-key").exists()
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        await gone(first)
    async with started(second, port, TMPDIR=str(short)) as process:
        assert not room.exists()
        assert len(list(short.glob("hive-run-*"))) == 2
        assert await ended("status", "--state", run.state) == (0, "")
        next_one = Run(state=second, port=port, process=process)
        await next_one.serves_and_leaves_nothing_behind(signal.SIGTERM)


@pytest.mark.asyncio(loop_scope="module")
async def test_without_hived_it_ends_and_its_last_words_are_for_people(
    run: Run,
) -> None:
    os.kill(part_of(run.process.pid, "host"), signal.SIGKILL)
    line = await said(run.process, "hive: hived exited (killed by SIGKILL). Last line:")
    assert "hyperhive-audit" not in line
    assert await run.process.wait() == 1


async def test_a_hived_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hived.lock").touch()
    with (tmp_path / "hived.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, errors = await ended(
            "run", "--state", tmp_path, "--port", str(free_port())
        )
    assert code == 1
    assert f"Another hive is running on {tmp_path}." in errors
    assert [path.name for path in tmp_path.iterdir()] == ["hived.lock"]


async def test_what_cannot_start_leaves_no_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "a" / "state"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = await ended("run", "--state", state, "--port", port)
    assert code == 1
    assert "cannot listen" in errors
    assert list(tmp_path.iterdir()) == []


async def test_a_temporary_directory_too_long_for_sockets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / ("t" * 100)
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    code, said = await ended("run", "--state", tmp_path / "state")
    assert code == 1
    assert "Set TMPDIR to a shorter one" in said
    assert not (tmp_path / "state").exists()
    assert list(temporary.iterdir()) == []


async def test_demo_tells_its_story_in_json(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *HIVE, "demo", "--json", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    outcome = json.loads(out)
    assert outcome["ok"] is True
    names = [step["name"] for step in outcome["steps"]]
    for name in ("start", "agents", "request", "proposal", "deployed", "answer"):
        assert name in names
    assert all(step["seconds"] <= outcome["seconds"] for step in outcome["steps"])
