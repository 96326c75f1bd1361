"""Manual pages and shell completions: right for man and the shells, and complete."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pyglue.cli.commands.completion import PROGRAMS, SHELLS
from pyglue.cli.hive import build_parser
from tools import generate_manual

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "manual/man").iterdir())
HELP = {"-h", "--help"}
AGENTS = "alice\nalbert\nmanager\n"


def done(*command: str | Path, path: str = "/usr/bin:/bin") -> str:
    with tempfile.TemporaryDirectory() as home:  # fish writes there
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"PATH": path, "HOME": home},
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which a hive answers."""
    program = tmp_path / "hive"
    program.write_text(f'#!/bin/sh\n[ "$*" = "agents --names" ] && printf "{AGENTS}"\n')
    program.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


@pytest.mark.needs("mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_has_nothing_to_say_of_a_page(page: Path) -> None:
    assert done("mandoc", "-T", "lint", page) == ""


@pytest.mark.needs("mandoc")
def test_a_page_names_every_command_and_option() -> None:
    shown = done("mandoc", "-T", "ascii", "-O", "width=300", ROOT / "manual/man/hive.1")
    text = re.sub(".\b", "", shown)  # typed over, for bold and underlined
    for command in generate_manual.commands(build_parser()):
        assert command.prog in text
        for action in command._actions:
            assert all(name in text for name in {*action.option_strings} - HELP)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (".SH begins a line", ["\\&.SH begins a line"]),
        ("'quoted'", ["\\&'quoted'"]),
        ("a\\b -x", ["a\\eb \\-x"]),
        ("two\n  lines", ["two lines"]),
        ("", []),
    ],
)
def test_no_text_is_a_request(text: str, lines: list[str]) -> None:
    assert list(generate_manual.paragraph(text)) == lines


def test_the_command_prints_what_is_installed() -> None:
    assert set(SHELLS) == set(generate_manual.SHELLS)
    assert set(PROGRAMS) == set(generate_manual.COMPLETED)
    for program in PROGRAMS:
        for shell in SHELLS:
            words = ("completion", shell, "--program", program)
            out = done(sys.executable, "-m", "pyglue.cli.hive", *words)
            file = ROOT / f"manual/completions/{program}.{shell}"
            assert out == file.read_text()


def completed(shell: str, path: str, *words: str) -> set[str]:
    """Return what a shell offers at the end of a command line."""
    script = ROOT / f"manual/completions/{words[0]}.{shell}"
    line = " ".join(words)
    if shell == "fish":
        code = f'source {script}; complete --do-complete "{line}"'
        return {
            one.split("\t")[0]
            for one in done("fish", "-c", code, path=path).split("\n")
        }
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
        f'_shtab_hive; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    return set(done("bash", "-c", code, path=path).split("\n"))


@pytest.mark.parametrize(
    "shell", ["bash", pytest.param("fish", marks=pytest.mark.needs("fish"))]
)
def test_a_shell_completes_commands_options_and_agents(shell: str, path: str) -> None:
    assert "agents" in completed(shell, path, "hive", "agent")
    assert "--messages" in completed(shell, path, "hive", "cancel", "--mess")
    assert {"alice", "albert"} <= completed(shell, path, "hive", "cancel", "al")
    assert "manager" not in completed(shell, path, "hive", "cancel", "al")


@pytest.mark.needs("zsh")
@pytest.mark.parametrize("program", PROGRAMS)
def test_zsh_reads_the_completion(program: str) -> None:
    script = ROOT / f"manual/completions/{program}.zsh"
    assert script.read_text().startswith(f"#compdef {program}\n")
    done("zsh", "-n", script)
