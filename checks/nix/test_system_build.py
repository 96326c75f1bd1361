"""Building an approved system: in Nix's sandbox, under a limit, with a log; and what
the result is said to consist of.
"""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from checks.kits.nix.evaluator import agent
from checks.kits.nix.system import SystemKit
from checks.kits.patience import PATIENCE_S
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.hostctl import HostCtl
from pyglue.nix.closure import diff_closures

pytestmark = pytest.mark.needs("nix", "root")

MARK: Final = "86399.25"
"""Seconds that nothing else on this machine sleeps."""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> SystemKit:
    """Give a store that this module's tests share."""
    return SystemKit.make(tmp_path_factory.mktemp("systems"))


def package(name: str, script: str) -> str:
    """Return an agent.nix with one package, built by a script."""
    return f"""{{ pkgs, ... }}: {{ environment.systemPackages = [
      (pkgs.build {{
        name = "{name}"; script = ''
          mkdir -p $out/bin
          {script}
        '';
      }})
    ]; }}"""


async def drv(kit: SystemKit, room: Path, body: str) -> str:
    return await kit.evaluate(agent(room, body))


def sleepers() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if MARK.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


async def nothing_sleeps() -> None:
    """Wait until the kernel has ended what was killed."""
    async with asyncio.timeout(PATIENCE_S):
        while sleepers():
            await asyncio.sleep(0.05)


async def test_builds_what_was_evaluated(kit: SystemKit, tmp_path: Path) -> None:
    system = await drv(kit, tmp_path, package("x-1.0", "echo said-by-the-build"))
    built = await kit.build(system)
    real = kit.store.real(built)
    unit = (real / "etc/systemd/system/hive-agent.service").read_text()
    assert "User=agent" in unit and "ExecStart=/nix/store/" in unit
    assert "NoNewPrivileges=true" in unit
    assert "NIX_REMOTE=dummy://" in unit  # the manager's `nix-instantiate --parse`
    assert "GIT_CONFIG_VALUE_1=explicit" in unit  # safe.bareRepository
    assert (real / "init").stat().st_mode & 0o111
    assert any(line == "said-by-the-build" for line in kit.lines)
    assert await kit.build(system) == built  # again: nothing is left to do
    assert not any("said-by-the-build" in line for line in kit.lines)


async def test_a_profile_keeps_its_newest_generations(
    kit: SystemKit, tmp_path: Path
) -> None:
    control, profile = HostCtl(kit.store.environment), tmp_path / "profile/system"
    profile.parent.mkdir()
    built = [
        await kit.build(await drv(kit, tmp_path / name, package(name, "true")))
        for name in ("one-1", "two-2")
    ]
    for system in built * 3:
        await control.set_profile(str(profile), system, keep=3)
    generations = {path.name for path in profile.parent.glob("system-*-link")}
    assert generations == {f"system-{number}-link" for number in (4, 5, 6)}
    assert (profile.parent / profile.readlink()).readlink() == Path(built[-1])


async def test_a_build_sees_neither_files_nor_network_of_the_host(
    kit: SystemKit, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    tmp_path.chmod(0o755)
    script = f"""
      test ! -e {secret} || exit 11
      test $(wc -l < /proc/net/dev) -le 3 || exit 12
      echo sandboxed
    """
    await kit.build(await drv(kit, tmp_path / "a", package("probe", script)))
    assert "sandboxed" in kit.lines


async def test_a_build_that_fails_ends_with_its_log(
    kit: SystemKit, tmp_path: Path
) -> None:
    script = (
        "for n in 1 2 3; do echo line $n; done; "
        "printf 'red \\033[31m and \\342\\200\\256 turned\\n'; exit 7"
    )
    system = await drv(kit, tmp_path, package("broken-1", script))
    with pytest.raises(HiveError) as caught:
        await kit.build(system)
    error = caught.value
    assert error.code == ErrorCode.BUILD_FAILED
    assert "line 3" in error.message and "exit code 7" in error.message
    assert "\x1b" not in error.message and "\u202e" not in error.message
    (line,) = (line for line in kit.lines if line.startswith("red"))
    assert line.endswith(" and \\u202e turned") and "\x1b" not in line


async def test_a_build_that_hangs_is_ended_by_its_limit(
    kit: SystemKit, tmp_path: Path
) -> None:
    system = await drv(kit, tmp_path, package("hangs", f"echo on; sleep {MARK}"))
    with pytest.raises(HiveError, match="did not finish within 3 s") as caught:
        await kit.build(system, timeout=3.0)
    assert caught.value.code == ErrorCode.BUILD_FAILED
    await nothing_sleeps()


async def test_cancelling_ends_a_build(kit: SystemKit, tmp_path: Path) -> None:
    system = await drv(kit, tmp_path, package("hangs-2", f"echo on; sleep {MARK}"))
    began = asyncio.Event()

    def log(line: str) -> None:
        if line == "on":
            began.set()

    root = tmp_path / "root"
    task = asyncio.create_task(kit.builder().realise(system, root=root, log=log))
    async with asyncio.timeout(PATIENCE_S):
        await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await nothing_sleeps()
    assert not root.is_symlink()


async def test_a_talkative_build_is_cut(
    kit: SystemKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.nix.build._LINES_MAX", 50)
    script = "seq 1 3000; head -c 100000 /dev/zero | tr '\\0' x; echo"
    await kit.build(await drv(kit, tmp_path, package("talks", script)))
    assert len(kit.lines) == 51 and "rest was dropped" in kit.lines[-1]
    assert max(map(len, kit.lines)) < 600


@pytest.mark.parametrize("drv", ["/etc/passwd", "--help", "/nix/store/x.drv"])
async def test_only_a_derivation_is_built(kit: SystemKit, drv: str) -> None:
    with pytest.raises(HiveError, match="not a derivation"):
        await kit.build(drv)


async def test_a_derivation_that_is_gone_is_said(kit: SystemKit) -> None:
    gone = "/nix/store/00000000000000000000000000000000-gone.drv"
    with pytest.raises(HiveError) as caught:
        await kit.build(gone)
    assert caught.value.code == ErrorCode.BUILD_FAILED
    assert "gone.drv" in caught.value.message


async def test_closures_are_compared_by_name_and_size(
    kit: SystemKit, tmp_path: Path
) -> None:
    big = "head -c 100000 /dev/zero > $out/bin/data"
    small = await kit.build(await drv(kit, tmp_path / "a", package("data-1.0", "")))
    large = await kit.build(await drv(kit, tmp_path / "b", package("data-2.0", big)))
    found = await diff_closures(kit.store, small, large, base=3)
    data = {change.name: change for change in found.changes}["data"]
    assert (data.before, data.after) == (("1.0",), ("2.0",))
    assert data.bytes_after - data.bytes_before >= 100_000
    assert found.bytes_after - found.bytes_before >= 100_000
    same = await diff_closures(kit.store, large, large, base=3)
    assert same.changes == () and same.bytes_before == same.bytes_after
    new = await diff_closures(kit.store, None, small, base=None)
    assert new.bytes_before == 0 and "data" in {change.name for change in new.changes}
