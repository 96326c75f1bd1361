"""A new agent's description: written into its files, whatever was typed."""

import json
import subprocess
from pathlib import Path

import pytest

from pyglue.host.changes.template import one_line, read_template
from pyglue.paths import share


def _evaluated(files: dict[str, bytes], directory: Path) -> object:
    (directory / "agent.nix").write_bytes(files["agent.nix"])
    call = f"(import {directory}/agent.nix {{ }}).hyperhive.description"
    made = subprocess.run(
        ["nix-instantiate", "--eval", "--json", "--strict", "-E", call],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin:/nix/bin", "HOME": str(directory)},
    )
    value: object = json.loads(made.stdout)
    return value


@pytest.mark.needs("nix")
@pytest.mark.parametrize(
    "text",
    [
        "Watches the tracker",
        '"; network = true; x = "${builtins.currentTime}',
        "\\${a} $${b} \\\\${c} ''${d} \\",
        "Größe: 5 €",
    ],
)
def test_a_purpose_is_the_description_of_the_new_agent(
    tmp_path: Path, text: str
) -> None:
    files = read_template(share() / "agents", text)
    assert _evaluated(files, tmp_path) == text


def test_it_is_one_line_of_what_can_be_seen() -> None:
    assert one_line(" a\n\tb\x00\u202ec ") == "a b c"


@pytest.mark.parametrize("letter", ["x", "ä", "€", "𝄞"])
def test_a_long_one_is_cut_to_the_bytes_that_the_option_takes(letter: str) -> None:
    long = one_line(letter * 1000)
    assert 300 - 6 <= len(long.encode()) <= 300, "Nix counts bytes"
    assert long == letter * (len(long) - 1) + "…"
    short = letter * (300 // len(letter.encode()))
    assert one_line(short) == short


def test_a_template_of_one_s_own_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "template").mkdir()
    own = b'{ hyperhive.description = "Mine"; }'
    (tmp_path / "template/agent.nix").write_bytes(own)
    assert read_template(tmp_path, "Other") == {"agent.nix": own}
