"""The agents of ``checks/nix/real.sh`` are valid, and its steps work.

Their systems need a real nixpkgs, and so that script.
"""

from pathlib import Path

import pytest

from checks.kits.nix.evaluator import BARE, evaluator
from checks.nix.real import __main__ as real
from pyglue.manifest import schema

pytestmark = pytest.mark.needs("nix")


async def test_twenty_agents_are_valid_and_set_options_of_nixos() -> None:
    assert len(real.agents()) == 20
    for name in real.agents():
        found = await evaluator(BARE).evaluate(real.AGENTS / name)
        assert schema.validate(found.manifest)["description"], name
        assert found.nixos_options, name


def test_a_step_says_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["real", "--nixpkgs", str(tmp_path), "--only", "package", "agent-packages"]
    monkeypatch.setattr("sys.argv", words)
    assert real.main() == 1
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if not line.startswith(" ")]
    assert [line.split()[0] for line in said] == [
        "package",
        "agent-packages",
        "failed:",
    ]
    assert all("FAILED: " in line and " MiB " in line for line in said[:2])
    assert said[-1] == "failed: package, agent-packages"
