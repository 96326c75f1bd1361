"""Child processes: what they see, what ends them, and that nothing remains."""

import os
import select
import signal
import sys
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import own_children
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.fence import Fence
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.run import run_git
from pyglue.git.spare import SpareChild
from pyglue.process.limits import Rlimits
from pyglue.process.started import OUTPUT_LIMIT, Overrun, Ran, Started

MIB = 1024 * 1024


def python(
    code: str,
    *,
    stdin: bytes | Path | None = None,
    timeout: float = 60,
    limits: Rlimits | None = None,
) -> Ran:
    """Run a small program in the runner."""
    child = Started(
        [sys.executable, "-S", "-c", code], environment={}, directory=Path("/")
    )
    return child.finish(stdin, timeout=timeout, limits=limits)


def test_input_output_errors_and_exit_code() -> None:
    code = (
        "import sys; data = sys.stdin.buffer.read(); print(len(data));"
        "print('bad', file=sys.stderr); sys.exit(7)"
    )
    ran = python(code, stdin=b"x" * 1_000_000)
    assert (ran.code, ran.output, ran.errors) == (7, b"1000000\n", b"bad\n")
    assert ran.overrun is None and not ran.out_of_resources


def test_a_file_is_streamed_in(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"y" * 3_000_001)
    code = "import sys; print(len(sys.stdin.buffer.read()))"
    assert python(code, stdin=tmp_path / "in").output == b"3000001\n"


def test_a_child_that_does_not_listen_is_no_error() -> None:
    assert python("import os; os.close(0)", stdin=b"x" * MIB).code == 0


def test_the_time_limit_ends_it() -> None:
    ran = python("import time; time.sleep(600)", timeout=0.2)
    assert ran.overrun == Overrun.TIME and ran.out_of_resources


def test_output_is_limited_and_errors_are_cut() -> None:
    ran = python("import sys\nwhile True: sys.stdout.write('x' * 65536)")
    assert ran.overrun == Overrun.OUTPUT
    assert len(ran.output) <= OUTPUT_LIMIT + 65_536
    ran = python("import sys; sys.stderr.write('e' * 1_000_000)")
    assert ran.errors == b"e" * 16_384 and ran.code == 0


def test_grandchildren_end_with_the_child() -> None:
    """One that holds the pipes open neither blocks the caller nor lives on."""
    code = (
        "import os, sys, time\n"
        "pid = os.fork()\n"
        "if pid == 0: time.sleep(600)\n"
        "print(pid, flush=True); os._exit(3)"
    )
    ran = python(code)
    assert ran.code == 3
    try:
        dying = os.pidfd_open(int(ran.output))
    except ProcessLookupError:
        return
    ended, _, _ = select.select([dying], [], [], PATIENCE_S)  # it was killed, not asked
    os.close(dying)
    assert ended


@pytest.mark.parametrize(
    "code",
    [
        "x = bytearray(1 << 30)",
        "while True: pass",
        "open('{dir}/big', 'wb').write(b'x' * (2 << 20))",
    ],
    ids=["memory", "cpu", "file"],
)
def test_resource_limits(code: str, tmp_path: Path) -> None:
    limits = Rlimits(address_space=256 * MIB, cpu_s=1, file_size=MIB)
    wait = "import sys; sys.stdin.read()\n"
    ran = python(wait + code.format(dir=tmp_path), stdin=b"go", limits=limits)
    if "big" in code:
        assert (tmp_path / "big").stat().st_size <= MIB
    else:
        assert ran.code != 0 and ran.out_of_resources


def test_the_child_that_reads_packs_imports_no_event_loop() -> None:
    """It starts for every commit, and what it does not load cannot be attacked."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import pyglue.git.check;"
        "print('asyncio' in sys.modules, 'pyglue.process.once' in sys.modules)"
    )
    ran = python(code)
    assert (ran.code, ran.output, ran.errors) == (0, b"False False\n", b"")


def test_git_sees_no_configuration_and_no_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Leak\n[bad\n")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'user.name=leak'")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    repo = AppliedRepo.create(tmp_path / "bee.git")
    listed = run_git(["config", "--list", "--show-origin"], git_dir=repo.path).output
    assert b"leak" not in listed.lower() and b"protocol.allow=never" in listed
    alias = ["-c", "alias.seen=!env", "seen"]
    seen = run_git(alias, git_dir=repo.path).output
    assert b"secret" not in seen and b"HOME=/nonexistent" in seen


def test_git_does_not_run_hooks_or_fetch(tmp_path: Path) -> None:
    repo = AppliedRepo.create(tmp_path / "bee.git")
    hooks = repo.path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-update"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/fired\n")
        (hooks / name).chmod(0o755)
    seed_main(repo, {"agent.nix": b"{}"}, message="x")
    assert not (tmp_path / "fired").exists()
    ran = run_git(["fetch", str(repo.path)], git_dir=repo.path, check=False)
    assert ran.code != 0 and b"not allowed" in ran.errors


def test_failures_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = AppliedRepo.create(tmp_path / "bee.git")
    with pytest.raises(HiveError) as caught:
        run_git(["rev-parse", "no\x1bsuch"], git_dir=repo.path)
    assert caught.value.code == ErrorCode.INTERNAL
    assert caught.value.message.isascii() and caught.value.message.isprintable()
    with pytest.raises(HiveError) as caught:
        run_git(["cat-file", "--batch"], git_dir=repo.path, timeout=0)
    assert caught.value.code == ErrorCode.TIMEOUT
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HiveError) as caught:
        run_git(["version"], git_dir=repo.path)
    assert caught.value.code == ErrorCode.MISSING_PROGRAM
    assert os.environ["PATH"] in str(tmp_path)


# A child that is started ahead


@pytest.fixture(params=["fenced", "bare"])
def spare(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SpareChild:
    """Give one with the sandbox, then one as where none works."""
    if request.param == "bare":
        monkeypatch.setattr("pyglue.git.fence.Fence._probe", lambda _: "switched off")
    fence = Fence()
    if request.param == "fenced" and not fence.works:
        pytest.skip("bubblewrap does not work here")
    return SpareChild(fence, workdir=tmp_path, shown=tmp_path)


def use(spare: SpareChild) -> Ran:
    """Give the next child what is no job."""
    waiting = spare.take()
    limits = Rlimits(address_space=1024 * MIB, cpu_s=20, file_size=MIB)
    try:
        return waiting.finish(b"no job", timeout=PATIENCE_S, limits=limits)
    finally:
        waiting.discard()


def test_a_spare_child_is_used_once_and_replaced(spare: SpareChild) -> None:
    others = own_children()
    spare.prepare()
    waiting = own_children() - others
    spare.prepare()
    assert own_children() - others == waiting and len(waiting) == 1
    ran = use(spare)
    assert ran.code == 1 and b"Invalid job" in ran.errors
    assert own_children() == others
    assert use(spare).code == 1  # without one
    spare.prepare()
    again = own_children() - others
    assert len(again) == 1 and not again & waiting
    spare.close()
    spare.prepare()
    assert own_children() == others


def test_a_spare_child_that_died_is_not_used(spare: SpareChild) -> None:
    others = own_children()
    spare.prepare()
    (pid,) = own_children() - others
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert use(spare).code == 1
    spare.prepare()
    (pid,) = own_children() - others
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    spare.prepare()
    assert len(own_children() - others - {pid}) == 1
    spare.close()
    assert own_children() == others
