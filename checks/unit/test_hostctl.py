"""Programs of the host: a busy systemd that hangs up is asked once more."""

import os
from pathlib import Path

import pytest

from pyglue.errors import HiveError
from pyglue.host.backends.hostctl import HostCtl

_HUNG_UP = "Failed to reload daemon: Transport endpoint is not connected"


def systemctl(room: Path, monkeypatch: pytest.MonkeyPatch, *, failures: int) -> Path:
    """Put a systemctl on PATH that is hung up on ``failures`` times."""
    calls = room / "calls"
    program = room / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\n'
        f'[ "$(wc -l < {calls})" -gt {failures} ] && exit 0\n'
        f'echo "{_HUNG_UP}" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{room}:{os.environ['PATH']}")
    return calls


async def test_it_is_asked_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = systemctl(tmp_path, monkeypatch, failures=1)
    await HostCtl({"PATH": os.environ["PATH"]}).reload()
    assert calls.read_text().splitlines() == ["daemon-reload", "daemon-reload"]


async def test_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = systemctl(tmp_path, monkeypatch, failures=9)
    with pytest.raises(HiveError, match="not connected"):
        await HostCtl({"PATH": os.environ["PATH"]}).reload()
    assert len(calls.read_text().splitlines()) == 2
