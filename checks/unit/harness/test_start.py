"""The harness's checks before its first turn: the record, the CLI, the servers."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.kits.harness.bench import record, server
from checks.kits.harness.process import ECHO_SERVER, Home
from pyglue.errors import HiveError
from pyglue.harness.claude.options import _FIXED, CliOptions, find_cli
from pyglue.harness.claude.preflight import Checked, check
from pyglue.harness.gate.gate import Gate
from pyglue.harness.load import Loaded, Places, fingerprint, load, system_prompt
from pyglue.manifest.record import PinnedRecord
from pyglue.mcp.server import McpServer
from pyglue.tools import agent_tools


class NoHive:
    """A caller that nothing may call."""

    async def call(self, *_: object, **__: object) -> Any:
        raise AssertionError("a preflight calls nothing")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    home = Home(tmp_path / "bob")
    return Places(
        run=home.run, state=home.state, session=home.session, agents=home.agents
    )


def options(places: Places, loaded: Loaded) -> CliOptions:
    manifest = loaded.manifest
    return CliOptions(
        loaded,
        places,
        base_url="http://127.0.0.1:1",
        key="a key of this start",
        hive=McpServer(tools=agent_tools(), caller=NoHive()),
        gate=Gate(tools=manifest.allowed_tools, bash_allow=manifest.bash.allow),
    )


async def checked(places: Places, **changes: Any) -> Checked:
    loaded = load(record(**changes))
    return await check(options(places, loaded), loaded.manifest)


@pytest.fixture
def echo(tmp_path: Path) -> str:
    path = tmp_path / "echo.py"
    path.write_text(ECHO_SERVER)
    return str(path)


# --- the pinned record ----------------------------------------------------------------


def test_hash_is_that_of_the_bytes() -> None:
    data = record(model="sonnet")
    loaded = load(data)
    assert loaded.manifest.model == "sonnet"
    assert (
        loaded.sha256
        == fingerprint(data)
        == PinnedRecord(json.loads(data)["manifest"], None).sha256
    )


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"x", record() + b"\n", b'{"manifest":{},"system":null}']
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(HiveError):
        load(data)


def test_system_prompt(places: Places) -> None:
    loaded = load(record(prompt="You water the plants."))
    prompt = system_prompt(loaded, is_manager=False)
    assert "You are one agent of a hive" in prompt
    assert "# You are the manager" not in prompt
    assert prompt.endswith("You water the plants.\n")
    assert "# You are the manager" in system_prompt(loaded, is_manager=True)


# --- options ------------------------------------------------------------------------


def test_harness_names_win_over_the_manifests(places: Places) -> None:
    env = {
        "ANTHROPIC_BASE_URL": "http://evil",
        "ANTHROPIC_API_KEY": "k",
        "CLAUDE_CONFIG_DIR": "/elsewhere",
        "HOME": "/elsewhere",
        "CLAUDE_CODE_DISABLE_ATTACHMENTS": "0",
        "EDITOR": "true",
    }
    made = options(places, load(record(env=env))).environment
    assert made["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert made["ANTHROPIC_API_KEY"] == "a key of this start"
    assert made["CLAUDE_CONFIG_DIR"] == str(places.session)
    assert made["HOME"] == str(places.state)
    assert made["CLAUDE_CODE_DISABLE_ATTACHMENTS"] == "1"
    assert made["EDITOR"] == "true"


def test_login_is_used_only_with_a_network(places: Places) -> None:
    (places.session / ".credentials.json").write_text("{}")
    assert "ANTHROPIC_BASE_URL" in options(places, load(record())).environment
    networked = options(places, load(record(network=True))).environment
    assert "ANTHROPIC_BASE_URL" not in networked
    assert "ANTHROPIC_API_KEY" not in networked


def after(line: list[str], flag: str) -> list[str]:
    """Return what follows each ``flag`` of a command line."""
    return [line[n + 1] for n, word in enumerate(line) if word == flag]


def test_a_model_that_the_cli_does_not_know_has_its_own_window(places: Places) -> None:
    made = options(places, load(record()))
    name = "CLAUDE_CODE_AUTO_COMPACT_WINDOW"
    assert name not in made.turn(model="haiku", session="s", resume=False).env
    made.context_window = 128_000
    again = made.turn(model="glm", session="s", resume=False)
    assert again.env[name] == "128000"


def test_options_of_a_turn(places: Places) -> None:
    servers = {"notes": server("true", tools=("query", "*"))}
    loaded = load(
        record(allowedTools=["Bash", "Read"], mcpServers=servers, prompt="own")
    )
    made = options(places, loaded).turn(model="opus", session="s", resume=True)
    line = made.arguments()
    assert after(line, "--tools") == ["Bash,Read"]
    assert after(line, "--allowedTools") == [
        # Bash is allowed by the gate alone
        "Read,mcp__hive__*,mcp__notes__query,mcp__notes__*"
    ]
    assert {"--model=opus", "--resume=s"} <= set(line)
    assert not any(word.startswith("--session-id") for word in line)
    assert "--setting-sources=" in line
    assert "--strict-mcp-config" in line
    assert "--permission-mode=dontAsk" in line
    assert "--system-prompt-snapshot=off" in line
    assert made.verbatim
    assert [(h.event, h.matcher) for h in made.hooks] == [("PreToolUse", "Bash")]
    assert made.cwd == places.state
    ours, theirs = after(line, "--mcp-config")
    assert json.loads(ours) == {"mcpServers": {"hive": {"type": "sdk", "name": "hive"}}}
    path = Path(theirs)
    assert json.loads(path.read_text())["mcpServers"]["notes"]["command"] == "true"
    assert path.stat().st_mode & 0o077 == 0


def test_nothing_is_allowed_by_default(places: Places) -> None:
    made = options(places, load(record())).turn(model="m", session="s", resume=False)
    line = made.arguments()
    assert after(line, "--tools") == [""]
    assert after(line, "--allowedTools") == ["mcp__hive__*"]
    assert made.hooks == ()
    assert "--session-id=s" in line
    assert not any(word.startswith("--resume") for word in line)
    assert len(after(line, "--mcp-config")) == 1, "the hive's own tools"


def test_files_are_written_anew_for_each_turn(places: Places) -> None:
    """The agent can write in its session directory; a link there is no way out."""
    made = options(places, load(record()))
    made.turn(model="m", session="s", resume=False)
    prompt = places.session / "hive-system-prompt.md"
    good = prompt.read_text()
    victim = places.state / "victim"
    victim.write_text("precious")
    prompt.unlink()
    prompt.symlink_to(victim)
    made.turn(model="m", session="s", resume=True)
    assert prompt.read_text() == good
    assert not prompt.is_symlink()
    assert victim.read_text() == "precious"


def test_manager_works_among_the_agents(places: Places) -> None:
    assert places.work == places.state
    places.agents.mkdir()
    assert places.is_manager
    assert places.work == places.agents


def test_cli_on_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = find_cli()
    assert bundled is None or bundled.name == "claude"
    own = tmp_path / "claude"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert find_cli() == own


# --- preflight ----------------------------------------------------------------------


async def test_all_is_well(places: Places, echo: str) -> None:
    servers = {"echo": server(sys.executable, echo, tools=("say", "*"))}
    found = await checked(
        places, allowedTools=["Bash", "Read", "Edit", "Glob"], mcpServers=servers
    )
    assert found.problem is None
    assert found.cli_version is not None
    assert {s.name: s.status for s in found.servers} == {
        "echo": "connected",
        "hive": "connected",
    }
    assert list(places.session.glob("projects/*/*.jsonl")) == []


async def test_long_prompts_and_servers_fit(places: Places, echo: str) -> None:
    """Each is longer than one argument of a program may be."""
    args = (echo, *["x" * 4000] * 60)
    found = await checked(
        places,
        prompt="ü" * 60000,
        mcpServers={"echo": server(sys.executable, *args, tools=("say",))},
    )
    assert found.problem is None


async def test_unknown_built_in_tool(places: Places) -> None:
    found = await checked(places, allowedTools=["Read", "Levitate"])
    assert found.problem is not None
    assert "does not have the tool Levitate." in found.problem


async def test_server_that_fails_and_one_without_the_tool(
    places: Places, echo: str
) -> None:
    code = "import sys; sys.exit('the database is missing')"
    servers = {
        "notes": server(sys.executable, "-c", code),
        "echo": server(sys.executable, echo, tools=("say", "sing")),
    }
    found = await checked(places, mcpServers=servers)
    assert found.problem is not None
    assert "The MCP server 'notes'" in found.problem
    assert "did not connect" in found.problem
    assert "the database is missing" in found.problem
    assert (
        "The MCP server 'echo' does not have the tool sing; it has: cry, say."
        in found.problem
    )
    assert {s.name: s.status for s in found.servers}["notes"] == "failed"


async def test_a_server_that_fails_is_shown_with_its_own_words_whole(
    places: Places,
) -> None:
    lines = '{"level": "error", "msg": "no \\"db\\""}'
    code = (
        f"import sys; print({lines!r}, file=sys.stderr)\n"
        "def connect(): raise ValueError('no such host: döner')\n"
        "connect()"
    )
    found = await checked(
        places, mcpServers={"notes": server(sys.executable, "-c", code)}
    )
    assert found.problem is not None
    first, _, wrote = found.problem.partition(" It wrote:\n")
    assert "The MCP server 'notes' (“" in first and sys.executable in first
    assert wrote.startswith(f"{lines}\nTraceback (most recent call last):\n")
    assert wrote.endswith("\nValueError: no such host: döner")
    assert wrote.count("Traceback") == 1, "the CLI ran it twice"


async def test_a_server_that_never_answers_is_named_with_its_command_line(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(
        record(mcpServers={"slow": server(sys.executable, "-c", "input(); input()")})
    )
    monkeypatch.setitem(_FIXED, "MCP_TIMEOUT", "1000")
    monkeypatch.setattr("pyglue.harness.claude.preflight.SERVER_START_S", 1.0)
    found = await check(options(places, loaded), loaded.manifest)
    assert found.problem is not None
    assert found.problem.startswith("The MCP server 'slow' (“")
    assert "-c 'input(); input()'”) did not answer within 1 s." in found.problem


async def test_missing_program(places: Places) -> None:
    found = await checked(places, mcpServers={"x": server("no-such-program")})
    assert found.problem is not None
    assert "'no-such-program' of the MCP server 'x' is not installed" in found.problem
    assert "Install it on this machine; where agents run NixOS" in found.problem


async def test_no_cli(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("pyglue.harness.claude.options.find_spec", lambda _: None)
    found = await checked(places)
    assert found.problem is not None
    assert "Claude Code is not installed: " in found.problem


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("#!/bin/sh\necho 'libc is too old' >&2\nexit 3\n", "libc is too old"),
        ("#!/bin/sh\nexec sleep 60\n", "not ready after 2 seconds"),
    ],
)
async def test_cli_that_does_not_work(
    places: Places,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    says: str,
) -> None:
    directory = tmp_path / "bin"
    directory.mkdir()
    own = directory / "claude"
    own.write_text(program)
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    loaded = load(record())
    found = await check(options(places, loaded), loaded.manifest, timeout_s=2.0)
    assert found.problem is not None
    assert says in found.problem
    assert "\n" not in found.problem
