"""Programs of the host: a busy systemd that disconnects is retried, with a limit."""

import os
from pathlib import Path

import pytest

from pyglue.errors import HiveError
from pyglue.host.backends.hostctl import HostCtl

_HUNG_UP = "Failed to reload daemon: Transport endpoint is not connected"


def control() -> HostCtl:
    return HostCtl({"PATH": os.environ["PATH"]}, pauses=(0, 0, 0))


def systemctl(
    room: Path, monkeypatch: pytest.MonkeyPatch, *, failures: int, said: str = _HUNG_UP
) -> Path:
    """Put a systemctl on PATH that fails ``failures`` times and says why."""
    calls = room / "calls"
    program = room / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\n'
        f'[ "$(wc -l < {calls})" -gt {failures} ] && exit 0\n'
        f'echo "{said}" >&2\nexit 1\n'
    )
    terminate = room / "machinectl"
    terminate.write_text("#!/bin/sh\n")
    terminate.chmod(0o755)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{room}:{os.environ['PATH']}")
    return calls


async def test_it_is_asked_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = systemctl(tmp_path, monkeypatch, failures=1)
    await control().reload()
    assert calls.read_text().splitlines() == ["daemon-reload", "daemon-reload"]


async def test_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = systemctl(tmp_path, monkeypatch, failures=9)
    with pytest.raises(HiveError, match="not connected"):
        await control().reload()
    assert len(calls.read_text().splitlines()) == 4


async def test_what_is_refused_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = systemctl(tmp_path, monkeypatch, failures=9, said="Access denied")
    with pytest.raises(HiveError, match="Access denied"):
        await control().reload()
    assert len(calls.read_text().splitlines()) == 1


async def test_a_link_in_its_root_is_told_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Assertion failed on job for container@h-alice.service."
    systemctl(tmp_path, monkeypatch, failures=9, said=said)
    with pytest.raises(HiveError, match="Remove the link") as refused:
        await control().start("container@h-alice.service", "h-alice")
    assert "systemctl cat container@h-alice.service" in refused.value.message
