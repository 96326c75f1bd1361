"""Whether this machine can create sandboxes, and the message if it cannot."""

import os
from pathlib import Path

import pytest

from checks.kits.sandbox.python import AGENT
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import RunAs
from pyglue.sandbox import (
    Probe,
    Support,
    probe,
)

pytestmark = pytest.mark.needs("bwrap")


def test_probe_finds_that_it_works() -> None:
    assert probe(AGENT) == Probe(Support.BWRAP, "")


@pytest.mark.needs("root")
@pytest.mark.parametrize("run_as", [None, RunAs(0, 0)])
def test_agents_never_run_as_root(run_as: RunAs | None) -> None:
    found = probe(run_as)
    assert found.support is Support.REFUSED
    assert "never run as root" in found.reason


def _without_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise HiveError(ErrorCode.MISSING_PROGRAM, "x", details={"program": name})

    monkeypatch.setattr("pyglue.sandbox.spec.find_program", missing)


def test_without_bubblewrap_root_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_bubblewrap(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = probe(RunAs(62001, 62001))
    assert found.support is Support.UID_ONLY
    assert "apt install bubblewrap" in found.reason


@pytest.mark.parametrize(
    ("unsafe", "support"), [("1", Support.UNSAFE), ("0", Support.REFUSED)]
)
def test_without_bubblewrap_a_user_is_refused_unless_they_insist(
    unsafe: str, support: Support, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_bubblewrap(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HIVE_UNSAFE_NO_SANDBOX", unsafe)
    assert probe(None).support is support


def test_a_bubblewrap_that_fails_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bwrap"
    monkeypatch.setattr("pyglue.sandbox.spec.find_program", lambda _: str(fake))
    for said, expected in (
        ("bwrap: Unknown option --bind-fd", "too old"),
        ("bwrap: setting up uid map: Permission denied", "Permission denied"),
    ):
        fake.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
        fake.chmod(0o755)
        for passage in (tmp_path, *tmp_path.parents):
            if passage.stat().st_mode & 0o077 == 0:
                passage.chmod(0o755)
        found = probe(AGENT)
        assert found.support is not Support.BWRAP
        assert expected in found.reason
