"""The tools that propose a commit: it is sent as a pack of only the new objects."""

import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.git.objects import git
from checks.kits.harness.bench import FakeHive
from pyglue import jsonrpc
from pyglue.api import manager as manager_api
from pyglue.api.common import PROTOCOL, HelloParams, Role
from pyglue.jsonrpc import Connection
from pyglue.limits import AGENT_RPC
from pyglue.tools import manager_tools


@pytest.fixture
async def hive(tmp_path: Path) -> AsyncIterator[FakeHive]:
    async with FakeHive(tmp_path / "hive.sock", role=Role.MANAGER) as hive:
        yield hive


@pytest.fixture
async def connection(hive: FakeHive) -> AsyncIterator[Connection]:
    hello = HelloParams(protocol=PROTOCOL, client="test")
    connection = await jsonrpc.connect(hive.path, hello=hello)
    yield connection
    connection.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """bob's repository with two commits."""
    repository = tmp_path / "agents" / "bob" / "config"
    repository.mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=repository)
    for number in (1, 2):
        (repository / f"file{number}").write_bytes(os.urandom(2000))
        git("add", ".", cwd=repository)
        git("commit", "-q", "-m", f"commit {number}", cwd=repository)
    return repository


def objects_in(pack: bytes) -> int:
    assert pack.startswith(b"PACK")
    return int.from_bytes(pack[8:12], "big")


async def propose(
    connection: Connection, config: Path, commit: str, agent: str = "bob"
) -> tuple[str, bool]:
    tools = manager_tools(config.parent.parent)
    tool = next(tool for tool in tools if tool.name == "request_apply_commit")
    arguments = {"agent": agent, "commit": commit, "description": "why"}
    answer = await tool.call(connection, arguments)
    return answer.text, answer.is_error


async def test_commit_is_sent_as_a_pack_without_main(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    head = git("rev-parse", "HEAD", cwd=config)
    text, is_error = await propose(connection, config, head)
    assert (json.loads(text)["approval"], is_error) == (3, False)
    assert hive.begun[0].description == "why"
    assert objects_in(b"".join(hive.chunks)) == 6
    hive.chunks.clear()
    hive.main = git("rev-parse", "HEAD~1", cwd=config)
    await propose(connection, config, head)
    assert objects_in(b"".join(hive.chunks)) == 3
    hive.chunks.clear()
    hive.main = "f" * 40  # not known here: everything goes
    await propose(connection, config, head)
    assert objects_in(b"".join(hive.chunks)) == 6


async def test_large_commits_go_in_chunks(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    (config / "large").write_bytes(os.urandom(1_500_000))
    git("add", ".", cwd=config)
    git("commit", "-q", "-m", "large", cwd=config)
    await propose(connection, config, git("rev-parse", "HEAD", cwd=config))
    assert len(hive.chunks) == 3
    assert max(map(len, hive.chunks)) == manager_api.CHUNK_LIMIT
    index = subprocess.run(
        ["git", "index-pack", "--stdin", "--strict"],
        cwd=config,
        input=b"".join(hive.chunks),
        capture_output=True,
        check=False,
    )
    assert index.returncode == 0


async def test_too_large_a_commit_is_refused(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    with (config / "huge").open("wb") as file:
        for _ in range(34):
            file.write(os.urandom(1 << 20))
    git("-c", "core.compression=0", "add", ".", cwd=config)
    git("commit", "-q", "-m", "huge", cwd=config)
    text, is_error = await propose(
        connection, config, git("rev-parse", "HEAD", cwd=config)
    )
    assert is_error
    assert "more than 32 MiB" in text
    assert hive.calls == []


@pytest.mark.parametrize(
    ("agent", "commit", "says"),
    [
        ("bob", "main", "full id"),
        ("bob", "HEAD", "full id"),
        ("bob", "a" * 39, "full id"),
        ("bob", "A" * 40, "full id"),
        ("bob", "--output=/state/x", "full id"),
        ("bob", "a" * 40 + "\n", "full id"),
        ("bob", "a" * 40, "holds no commit"),
        ("carl", "a" * 40, "no repository"),
        ("../bob", "a" * 40, "Invalid agent name"),
        ("", "a" * 40, "Invalid agent name"),
        ("bob/config", "a" * 40, "Invalid agent name"),
    ],
)
async def test_what_cannot_be_proposed(
    connection: Connection,
    hive: FakeHive,
    config: Path,
    agent: str,
    commit: str,
    says: str,
) -> None:
    text, is_error = await propose(connection, config, commit, agent)
    assert is_error
    assert says in text
    assert hive.begun == []


async def test_a_tree_is_no_commit(connection: Connection, config: Path) -> None:
    tree = git("rev-parse", "HEAD^{tree}", cwd=config)
    text, is_error = await propose(connection, config, tree)
    assert is_error
    assert "holds no commit" in text


async def test_a_broken_repository_is_said(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    blob = git("rev-parse", "HEAD:file1", cwd=config)
    (config / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    text, is_error = await propose(
        connection, config, git("rev-parse", "HEAD", cwd=config)
    )
    assert is_error
    assert "could not pack" in text
    assert hive.calls == []


async def test_hooks_and_programs_of_the_repository_do_not_run(
    connection: Connection, hive: FakeHive, config: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    git("config", "core.fsmonitor", f"touch {marker}", cwd=config)
    git("config", "core.sshCommand", f"touch {marker}", cwd=config)
    git("config", "uploadpack.packObjectsHook", f"touch {marker}", cwd=config)
    _, is_error = await propose(
        connection, config, git("rev-parse", "HEAD", cwd=config)
    )
    assert not is_error
    assert not marker.exists()


def test_chunks_fit_a_line() -> None:
    line = len(base64.b64encode(bytes(manager_api.CHUNK_LIMIT))) + 4096
    assert line < AGENT_RPC.line


async def test_what_is_not_committed_is_noted(
    connection: Connection, hive: FakeHive, config: Path
) -> None:
    head = git("rev-parse", "HEAD", cwd=config)
    text, _ = await propose(connection, config, head)
    assert json.loads(text)["notes"] == []
    (config / "file1").write_text("changed")
    (config / "limits.nix").write_text("{ }")
    (config / "x\x1b[2J").write_text("")
    ran = config / "ran"
    git("config", "core.fsmonitor", f"touch {ran}", cwd=config)
    text, is_error = await propose(connection, config, head)
    (note,) = json.loads(text)["notes"]
    assert not is_error and not ran.exists()
    assert note.startswith("Not part of the proposal, because not committed: file1")
    assert "limits.nix" in note and "\x1b" not in note
    for number in range(20):
        (config / f"more{number}").write_text("")
    text, _ = await propose(connection, config, head)
    assert "13 more" in json.loads(text)["notes"][0]
