"""``hive manifest``: its output and exit codes."""

import argparse
import codecs
import json
from pathlib import Path

import pytest

from checks.kits.nix.evaluator import agent
from pyglue.cli.commands import manifest
from pyglue.config import HiveConfig, dump
from pyglue.errors import ErrorCode, HiveError
from pyglue.models.configured import ModelConfig
from pyglue.paths import share


def run(*arguments: str | Path, as_json: bool = False) -> int:
    parser = argparse.ArgumentParser()
    manifest.add_arguments(parser)
    found = parser.parse_args([str(argument) for argument in arguments])
    found.json = as_json
    return manifest.run(found)


def test_prints_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(share() / "agents" / "alice") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["model"] == "haiku"
    assert err == ""


def test_prints_one_json_object(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    body = '{ services.x.enable = true; hyperhive.prompt = "ü"; }'
    assert run(agent(tmp_path / "a", body), as_json=True) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and out.isascii()
    found = json.loads(out)
    assert found["nixosOptions"] == ["services.x.enable"]
    assert found["manifest"]["prompt"] == "ü"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{\n  hyperhive.model = ;\n}", "agent.nix:2:21: syntax error"),
        ("{\n  hyperhive.modle = 1;\n}", "agent.nix:2:13: The option"),
    ],
)
def test_says_where_it_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, body: str, said: str
) -> None:
    assert run(agent(tmp_path / "a", body)) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(said)


def test_patterns_that_never_match_are_said_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    body = '{ hyperhive.bash.allow = [ "npx *" ]; }'
    assert run(agent(tmp_path / "a", body)) == 1
    out, err = capsys.readouterr()
    assert out == "" and "“npx *” lets no command run" in err


def test_what_only_the_schema_refuses_is_said_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    body = '{ hyperhive.allowedTools = builtins.genList (_: "T") 65; }'
    assert run(agent(tmp_path / "a", body)) == 1
    wanted = "agent.nix: hyperhive.allowedTools has more than 64 entries.\n"
    assert capsys.readouterr().err == wanted


def test_no_such_directory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(tmp_path / "absent") == 1
    assert capsys.readouterr().err == "agent.nix: no such file\n"


def test_a_wrong_nixpkgs_is_no_problem_of_the_agent(tmp_path: Path) -> None:
    with pytest.raises(HiveError) as caught:
        run(agent(tmp_path / "a", "{ }"), "--nixpkgs-lib", tmp_path)
    assert caught.value.code == ErrorCode.CONFIG_INVALID


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{ hyperhive.model = "gpt-4o"; }', "hyperhive.model: There is no model"),
        (
            (
                "{ hyperhive.mcpServers.x = "
                '{ command = "python3"; args = [ "${./server.py}" ]; }; }'
            ),
            "hyperhive.mcpServers.x.args[0] names /nix/store/",
        ),
        (
            (
                "{ hyperhive.mcpServers.x = "
                '{ command = "python3"; env.A = toString ./server.py; }; }'
            ),
            "hyperhive.mcpServers.x.env.A names ",
        ),
        (
            (
                "{ hyperhive.mcpServers.x = "
                '{ command = "python3"; args = [ "\\${HOME}" ]; }; }'
            ),
            "hyperhive.mcpServers.x.args[0] contains “${HOME}”",
        ),
    ],
)
def test_what_could_not_work_is_said_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, body: str, said: str
) -> None:
    assert run(agent(tmp_path / "a", body, server__py="")) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"agent.nix: {said}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            'bash.allow = [ "Bash(git  diff:*)" ]',
            'Write the command alone: "git diff *".',
        ),
        ('bash.allow = [ "git status && ls" ]', "needs a pattern of its own"),
        (
            'allowedTools = [ "Bash(git diff:*)" ]',
            'Write "Bash" here, and the commands in hyperhive.bash.allow: "git diff *"',
        ),
        (
            'mcpServers.x = { command = "x"; allowedTools = [ "mcp__x__get" ]; }',
            "hyperhive.mcpServers.x.allowedTools[0] is mcp__x__get: write get,",
        ),
        ('allowedTools = [ "Bsh" ]', "hyperhive.allowedTools[0] is Bsh: did you mean"),
        ('model = "Sonnet"', "Use an alias (haiku, sonnet,"),
        ('model = "sonnet[1m]"', "claude-sonnet-5-5"),
        ('model = " "', "or a full id:"),
        (
            'allowedTools = [ "mcp__notes__query" ]',
            'Write "query" in hyperhive.mcpServers.notes.allowedTools.',
        ),
        (
            'mcpServers.x = { type = "http"; url = "https://x.example"; }',
            "Only servers that speak MCP over stdio are supported.",
        ),
        (
            'mcpServers.x = { command = "x"; headers.A = "b"; }',
            "Only servers that speak MCP over stdio are supported.",
        ),
    ],
)
def test_spellings_of_claude_code_are_known(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: str, said: str
) -> None:
    assert run(agent(tmp_path / "a", f"{{ hyperhive.{options}; }}")) == 1
    out, err = capsys.readouterr()
    assert out == "" and said in err and "Did you mean" not in err


BOM = codecs.BOM_UTF8


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOM + b"{ }", "begins with a byte order mark"),
        ("{ }\n".encode("utf-16"), "UTF-16"),
        ("{ }\n".encode("utf-16-le"), "UTF-16"),
        ("{ }\n".encode("utf-16-be"), "UTF-16"),
        ("{ }\n".encode("utf-32"), "UTF-16 or UTF-32"),
    ],
)
@pytest.mark.parametrize("name", ["agent.nix", "more.nix"])
def test_files_in_another_encoding(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    data: bytes,
    said: str,
    name: str,
) -> None:
    place = agent(tmp_path / "a", "{ }")
    (place / name).write_bytes(data)
    assert run(place) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"{name}:1:1: ") and said in err and "UTF-8" in err


def test_a_text_that_is_not_utf_8(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = agent(tmp_path / "a", "{ }")
    (place / "agent.nix").write_bytes(b'{ hyperhive.prompt = "caf\xe9"; }')
    assert run(place) == 1
    assert "not UTF-8. Save its files as UTF-8" in capsys.readouterr().err


def test_a_model_of_the_hive_s_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = agent(tmp_path / "a", '{ hyperhive.model = "glm"; }')
    assert run(place) == 1
    assert "There is no model 'glm'" in capsys.readouterr().err
    own = ModelConfig(id="zai/glm-4.6", input_per_mtok=1, output_per_mtok=1)
    file = tmp_path / "hive.json"
    models = {"glm": own}
    file.write_bytes(dump(HiveConfig(state_dir="/s", runtime_dir="/r", models=models)))
    assert run(place, "--config", file) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "glm"
