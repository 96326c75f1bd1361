"""Generated files match their sources, and hived's answers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pyglue.api.common import Method
from pyglue.api.messages import SendParams
from tools import generate_rpc, generate_trust
from tools.rpc_calls import SURFACES, Surface, calls_of

ROOT = Path(__file__).resolve().parent.parent.parent.parent
ANSWERED_IN = (
    "api/agent",
    "api/manager",
    "api/operator",
    "model/relay",
    "model/egress",
)
ANSWERED_BESIDE = {
    "api/operator": (
        "archives/calls",
        "api/operator_agents",
        "api/operator_decisions",
        "api/operator_reading",
    )
}
"""Modules that add to what a surface answers."""


@pytest.mark.parametrize(
    "generator",
    [
        pytest.param("generate_manifest", marks=pytest.mark.needs("nix")),
        "generate_rpc",
        "generate_trust",
        "generate_tools",
        "generate_openapi",
        "generate_security",
        "generate_invisible",
        "generate_events",
        pytest.param("generate_manual", marks=pytest.mark.needs("shtab")),
    ],
)
def test_generated_files_are_up_to_date(generator: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tools.{generator}", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_drift_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_rpc, "ROOT", tmp_path)
    monkeypatch.setattr(generate_rpc, "TARGET", tmp_path / "rpc.md")
    assert generate_rpc.main(["--check"]) == 1
    assert generate_rpc.main([]) == 0
    assert generate_rpc.main(["--check"]) == 0
    (tmp_path / "rpc.md").write_text("old")
    assert generate_rpc.main(["--check"]) == 1
    assert "rpc.md is out of date" in capsys.readouterr().out


def test_a_field_is_added_only_with_who_trusts_it() -> None:
    table = generate_trust.table()
    assert generate_trust.problems(table) == []
    for struct, lines in table.items():
        for name in lines:
            less = {one: text for one, text in lines.items() if one != name}
            (problem,) = generate_trust.problems({**table, struct: less})
            assert f"{struct.__name__}.{name} has no line" in problem
    more = {**table[SendParams], "sender": "yes"}
    (problem,) = generate_trust.problems({**table, SendParams: more})
    assert "SendParams.sender, which is no field" in problem


@pytest.mark.parametrize(
    ("surface", "module"),
    list(zip(SURFACES, ANSWERED_IN, strict=True)),
    ids=ANSWERED_IN,
)
def test_what_is_documented_is_what_hived_answers(
    surface: Surface, module: str
) -> None:
    own = [(name, call) for name, call, _ in calls_of(surface)]
    documented = {name for name, call in own if call not in surface.down}
    documented |= {call.name.upper() for call in surface.also}
    found = answered(ROOT / f"pyglue/host/{module}.py")
    for part in ANSWERED_BESIDE.get(module, ()):
        found |= answered(ROOT / f"pyglue/host/{part}.py")
    assert found == documented
    assert all(call in dict(own).values() for call in surface.down)


def answered(source: Path) -> set[str]:
    """Return the constants that a module of hived registers handlers for."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in ("on", "done", "on_done", "note", "on_note") and len(node.args) == 2:
            call = node.args[0]
            found.add(
                call.attr if isinstance(call, ast.Attribute) else ast.unparse(call)
            )
    return found


def test_every_call_is_documented_once() -> None:
    text = generate_rpc.render()
    for surface in SURFACES:
        begin = text.index(f"## {surface.title}\n")
        section = text[begin:].partition("\n## ")[0]
        for _, call, _ in calls_of(surface):
            assert section.count(f"\n### `{call.name}`\n") == 1
            kind = "Call" if isinstance(call, Method) else "Notification"
            way = "hived to the client" if call in surface.down else "client to hived"
            after = section.partition(f"### `{call.name}`")[2]
            assert after.startswith(f"\n\n{kind}, {way}.")
