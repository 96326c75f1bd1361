"""Programs run to their end, or are ended: limits, ids, groups, output, logs."""

import asyncio
import os
import resource
import select
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from checks.kits.patience import BEYOND_S, PATIENCE_S
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import (
    Child,
    LogFile,
    Rlimits,
    RunAs,
    describe_exit,
    filtered,
    run,
    run_sync,
)
from pyglue.process.logfile import unstamped
from pyglue.redaction.redactor import Redactor

ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
NOBODY = RunAs(65534, 65534)
SH = ["sh", "-c"]
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(pid: int) -> bool:
    """Wait for ``pid``, not a child of ours, to be dead; init may reap it later."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 10)[0])
    finally:
        os.close(fd)


def test_output_exit_code_and_environment() -> None:
    done = run_sync(
        [*SH, "cat; env; echo bad >&2; exit 3"], env=ENV, timeout=PATIENCE_S
    )
    assert done.code == 3
    assert sorted(done.stdout.split(b"\n")) >= [b"", b"LC_ALL=C"]
    assert b"HOME=" not in done.stdout
    assert done.stderr == b"bad\n"


async def test_async_run_feeds_stdin_beyond_a_pipe() -> None:
    data = os.urandom(3_000_000)
    done = await run(["cat"], env=ENV, timeout=PATIENCE_S, stdin=data)
    assert done.stdout == data


def test_stdin_and_stdout_as_files(tmp_path: Path) -> None:
    source, sink = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"abc")
    done = run_sync(["cat"], env=ENV, timeout=PATIENCE_S, stdin=source, stdout=sink)
    assert (done.stdout, sink.read_bytes()) == (b"", b"abc")


def test_program_that_does_not_read_its_input() -> None:
    assert (
        run_sync(["true"], env=ENV, timeout=PATIENCE_S, stdin=b"x" * 500_000).code == 0
    )


def test_missing_program_is_named() -> None:
    with pytest.raises(HiveError) as refused:
        run_sync(["no-such-program-here"], env=ENV, timeout=1)
    assert refused.value.code is ErrorCode.MISSING_PROGRAM
    assert "no-such-program-here" in refused.value.message


def test_missing_directory_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(HiveError) as refused:
        run_sync(["true"], env=ENV, timeout=1, cwd=tmp_path / "none")
    assert refused.value.code is ErrorCode.UNAVAILABLE


def test_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(HiveError) as ended:
        run_sync(
            [*SH, f"sleep 60 & echo $! >{note}; wait"], env=ENV, timeout=0.5, cwd="/"
        )
    assert ended.value.code is ErrorCode.TIMEOUT
    assert gone(int(note.read_text()))


SESSION_OF_ITS_OWN = "setsid sleep 600 & echo $! >{note}; wait"
"""As the inner process of a sandbox, before it asks to die with its parent."""


def test_timeout_kills_what_left_the_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = SESSION_OF_ITS_OWN.format(note=note)
    with pytest.raises(HiveError) as ended:
        run_sync([*SH, script], env=ENV, timeout=0.5, cwd="/")
    assert ended.value.code is ErrorCode.TIMEOUT
    assert gone(int(note.read_text()))


async def test_a_killed_child_takes_along_what_left_its_group(tmp_path: Path) -> None:
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    child = Child.start([*SH, SESSION_OF_ITS_OWN.format(note=fifo)], env=ENV)
    left = int(await asyncio.to_thread(fifo.read_text))
    child.kill()
    await child.wait()
    assert await asyncio.to_thread(gone, left)


def test_what_stays_behind_is_killed_and_does_not_hold_the_pipe(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    done = run_sync(
        [*SH, f"sleep {BEYOND_S} & echo $! >{note}"], env=ENV, timeout=PATIENCE_S
    )
    assert done.code == 0
    assert gone(int(note.read_text()))


def test_too_much_output_is_refused() -> None:
    with pytest.raises(HiveError) as ended:
        run_sync(["yes"], env=ENV, timeout=PATIENCE_S, max_output=100_000)
    assert ended.value.code is ErrorCode.TOO_LARGE


def test_errors_keep_both_ends() -> None:
    code = "import sys; sys.stderr.write('first' + 'x' * 999999 + 'last')"
    done = run_sync(python(code), env=ENV, timeout=PATIENCE_S)
    assert done.stderr.startswith(b"first")
    assert done.stderr.endswith(b"last")
    assert b"bytes omitted" in done.stderr
    assert len(done.stderr) < 70_000


async def test_cancel_kills_before_it_returns(tmp_path: Path) -> None:
    fifo = tmp_path / "ready"
    os.mkfifo(fifo)
    task = asyncio.create_task(
        run([*SH, f"echo $$ >{fifo}; exec sleep 60"], env=ENV, timeout=PATIENCE_S)
    )
    pid = int(await asyncio.to_thread(fifo.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    for waiter in [t for t in threading.enumerate() if t.name == "sh"]:
        await asyncio.to_thread(waiter.join, PATIENCE_S)
        assert not waiter.is_alive()


def test_limits_hold_from_the_first_instruction() -> None:
    limits = Rlimits(
        address_space=500 << 20, cpu_s=7, file_size=1000, open_files=50, processes=4000
    )
    code = (
        "import resource as r; print([r.getrlimit(w)[1] for w in (r.RLIMIT_AS,"
        "r.RLIMIT_CPU,r.RLIMIT_FSIZE,r.RLIMIT_NOFILE,r.RLIMIT_NPROC,r.RLIMIT_CORE)])"
    )
    done = run_sync(python(code), env=ENV, timeout=PATIENCE_S, limits=limits)
    assert done.stdout.split(b"\n")[0] == b"[524288000, 7, 1000, 50, 4000, 0]"


def test_a_program_may_open_as_many_files_as_it_asks_for() -> None:
    code = "import resource as r; print(*r.getrlimit(r.RLIMIT_NOFILE))"
    done = run_sync(python(code), env=ENV, timeout=PATIENCE_S, limits=Rlimits())
    soft, hard = map(int, done.stdout.split())
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert (soft, hard) == (min(1024, ours), ours)


def test_memory_limit_ends_a_hungry_program() -> None:
    done = run_sync(
        python("bytearray(1 << 30)"),
        env=ENV,
        timeout=PATIENCE_S,
        limits=Rlimits(address_space=300 << 20),
    )
    assert done.code == 1
    assert b"MemoryError" in done.stderr


def test_cpu_limit_says_which_signal() -> None:
    done = run_sync(
        python("while True: pass"), env=ENV, timeout=PATIENCE_S, limits=Rlimits(cpu_s=1)
    )
    assert describe_exit(done.code) in ("killed by SIGKILL", "killed by SIGXCPU")


@ROOT
def test_run_as_drops_everything() -> None:
    done = run_sync(
        [*SH, "id -u; id -g; id -G; grep -E 'CapEff|CapInh|NoNewP' /proc/self/status"],
        env=ENV,
        timeout=PATIENCE_S,
        run_as=NOBODY,
        limits=Rlimits(cpu_s=5),
    )
    assert done.stdout.split() == [
        b"65534",
        b"65534",
        b"65534",
        b"CapInh:",
        b"0" * 16,
        b"CapEff:",
        b"0" * 16,
        b"NoNewPrivs:",
        b"1",
    ]


def test_passed_descriptor_arrives() -> None:
    reader, writer = os.pipe()
    try:
        done = run_sync(
            python(f"import os; os.write({writer}, b'hi\\n')"),
            env=ENV,
            timeout=PATIENCE_S,
            pass_fds=[writer],
        )
        assert done.code == 0
        assert os.read(reader, 10) == b"hi\n"
    finally:
        os.close(reader)
        os.close(writer)


async def test_child_logs_lines_and_ends(tmp_path: Path) -> None:
    seen: list[str] = []
    log = LogFile(tmp_path / "logs" / "a.log")
    child = Child.start(
        [*SH, "echo one; echo two >&2; printf three; exit 4"],
        env=ENV,
        log=log,
        on_line=seen.append,
    )
    assert await child.wait() == 4
    assert child.returncode == 4
    assert seen == ["one", "two", "three"]
    assert child.lines == ("one", "two", "three")
    assert log.tail(2) == ("two", "three")


async def test_what_nobody_may_see_is_not_logged(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.learn("TOKEN", "tok-12345678")
    log, go_on = LogFile(tmp_path / "a.log"), tmp_path / "go on"
    os.mkfifo(go_on)
    child = Child.start(
        [*SH, f"printf 'a tok-123'; read x < '{go_on}'; echo 45678 b; printf tok-12"],
        env=ENV,
        log=log,
        clean=redactor.stream(),
    )
    await asyncio.to_thread(go_on.write_text, "now\n")
    assert await child.wait() == 0
    assert child.lines == log.tail(9) == ("a [secret TOKEN] b", "tok-12")


def through(argv: list[str], data: bytes, *, reads: bool = True) -> bytes:
    """Return what a program makes of some bytes; without ``reads`` nobody takes it."""
    reader, writer = os.pipe()
    taken: list[bytes] = []
    with os.fdopen(reader, "rb") as source:
        thread = threading.Thread(target=lambda: taken.append(source.read()))
        if reads:
            thread.start()
        else:
            source.close()
        try:
            with os.fdopen(writer, "wb") as stream, filtered(argv, stream) as into:
                into.write(data)
        finally:
            if reads:
                thread.join()
    return taken[0]


def test_a_stream_through_a_program() -> None:
    data = os.urandom(300_000)
    assert through(["cat"], data) == data
    with pytest.raises(HiveError, match="sh failed: no room here"):
        through([*SH, "echo no room here >&2; exit 3"], data)
    with pytest.raises(HiveError) as caught:
        through(["no-such-program-here"], b"")
    assert caught.value.code is ErrorCode.MISSING_PROGRAM
    with pytest.raises(BrokenPipeError):
        through(["cat"], data, reads=False)


async def test_child_terminate_asks_first(tmp_path: Path) -> None:
    ready = asyncio.Event()
    child = Child.start(
        [*SH, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 1; done"],
        env=ENV,
        on_line=lambda _: ready.set(),
    )
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    assert await child.terminate(grace_s=10) == 0
    assert child.lines[-1] == "bye"


async def test_child_that_will_not_end_is_killed() -> None:
    ready = asyncio.Event()
    child = Child.start(
        [*SH, "trap '' TERM; echo up; sleep 60 & wait; wait"],
        env=ENV,
        on_line=lambda _: ready.set(),
    )
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    assert await child.terminate(grace_s=0.05) == -signal.SIGKILL
    assert await child.terminate() == -signal.SIGKILL


async def test_child_with_a_missing_program() -> None:
    with pytest.raises(HiveError):
        Child.start(["no-such-program-here"], env=ENV)


async def test_child_without_line_ends_cannot_fill_memory() -> None:
    lines: list[str] = []
    child = Child.start(
        [*SH, "head -c 300000 /dev/zero"], env=ENV, on_line=lines.append
    )
    assert await child.wait() == 0
    assert lines
    assert max(map(len, lines)) <= 8192


def test_log_is_capped_and_keeps_the_newest(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", cap=1000)
    for number in range(500):
        log.write(b"line %d\n" % number)
    log.close()
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 2000
    assert log.tail(2) == ("line 498", "line 499")
    assert len(log.tail(10_000)) > 100
    assert log.tail(0) == ()


def test_lines_of_a_log_begin_with_their_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(tmp_path / "x.log", stamps=True)
    moments = [time.gmtime(86400 + second) for second in range(5)]
    for moment, data in zip(
        moments, (b"one\n\ntw", b"o", b"\n", b"", b"three"), strict=True
    ):
        monkeypatch.setattr(time, "gmtime", lambda moment=moment: moment)
        log.write(data)
    begun = b"1970-01-02T00:00:00Z "
    assert (tmp_path / "x.log").read_bytes() == (
        begun + b"one\n" + begun + b"\n" + begun + b"two\n1970-01-02T00:00:04Z three"
    )
    assert log.tail(9) == ("one", "", "two", "three")


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"Z ", b"INFO a line of a log", b"2026-13-29T23:49:10Z month"),
        *(b"2026-11-29T23:49:10 no zone", b"\xff026-11-29T23:49:10Z x"),
        b"2026-11-29T23:49:10ZZ",
    ],
)
def test_a_line_without_a_time_is_left_as_it_is(line: bytes) -> None:
    assert unstamped(line) == (line, None)


def test_log_refuses_a_link(tmp_path: Path) -> None:
    (tmp_path / "x.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        LogFile(tmp_path / "x.log").write(b"x")
    assert not (tmp_path / "elsewhere").exists()
