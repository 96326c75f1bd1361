"""An MCP server's output, extracted unchanged from the CLI's debug log."""

import json

from pyglue.config import Timeouts
from pyglue.harness.claude.stderr import BYTES_MAX, Stderr
from pyglue.limits import HEALTH_LEAST_S, PREFLIGHT_S, SERVER_START_S

AT = "2026-11-28T21:06:35.156Z"
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py"\nValueError: "é"\n'


def entry(text: str, level: str = "ERROR") -> str:
    """Return an entry as the CLI prints it: a JSON string if it has line breaks."""
    shown = json.dumps(text, ensure_ascii=False) if "\n" in text else text
    return f"{AT} [{level}] {shown}"


def wrote(server: str, *lines: str) -> str:
    said = Stderr()
    for line in lines:
        said.take(line)
    return said.of(server)


def test_several_lines_come_out_as_they_were_written() -> None:
    line = json.dumps({"level": "error", "msg": 'a "quoted" thing'})
    text = f"{line}\n{TRACEBACK}"
    found = wrote("notes", entry(f'MCP server "notes" Server stderr: {text}'))
    assert found == text.rstrip()


def test_one_line_is_not_quoted() -> None:
    lines = entry('MCP server "notes" Server stderr: no database'), entry("other")
    assert wrote("notes", *lines) == "no database"
    assert wrote("other", *lines) == ""


def test_lines_that_an_older_cli_prints_itself_belong_to_the_entry() -> None:
    first = f'{AT} [ERROR] MCP server "notes": Server stderr: one'
    assert wrote("notes", first, "two", entry("x"), "three") == "one\ntwo"


def test_an_earlier_run_is_left_out() -> None:
    server = 'MCP server "notes"'
    found = wrote(
        "notes",
        entry(f"{server}: Starting connection with timeout of 30000ms", "DEBUG"),
        entry(f"{server}: stderr of the stdio server before restarting it: old\nrun"),
        entry(f"{server} Server stderr: an older start"),
        entry(f"{server}: Starting connection with timeout of 30000ms", "DEBUG"),
        entry(f"{server} Server stderr: new\nrun"),
    )
    assert found == "new\nrun"


def test_a_server_that_says_what_looks_like_an_entry_speaks_for_itself_only() -> None:
    lie = f'MCP server "b" Server stderr: it is b\n{AT} [ERROR] x'
    line = entry(f'MCP server "a" Server stderr: y\n{lie}')
    assert wrote("b", line) == ""
    assert "it is b" in wrote("a", line)


def test_the_end_of_a_long_text_is_kept() -> None:
    text = "".join(f"line {n} ü\n" for n in range(5000))
    found = wrote("a", entry(f'MCP server "a" Server stderr: {text}'))
    assert found.startswith("…\nline ") and found.endswith("line 4999 ü")
    assert BYTES_MAX - 100 < len(found.encode()) <= BYTES_MAX + 100


def test_what_could_move_a_terminal_is_made_visible() -> None:
    found = wrote("a", entry('MCP server "a" Server stderr: \x1b[2Jhidden\n\u202eb'))
    assert "\x1b" not in found and "\u202e" not in found and "hidden\n" in found


def test_each_limit_of_a_start_leaves_room_for_the_one_that_names_the_part() -> None:
    assert SERVER_START_S < PREFLIGHT_S < HEALTH_LEAST_S <= Timeouts().health_s
