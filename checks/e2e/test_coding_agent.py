"""A coding agent on a real hive: its workspace is one of the operator's repositories.

The real CLI runs what the scripted model says: it runs the tests, reads, edits, runs
them again, commits and reports.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from checks.kits.host.hive import Hive, script
from checks.kits.host.shared_hive import shared_hive
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams, Danger
from pyglue.api.manager import RESTART, AgentParams
from pyglue.api.operations import OperationState
from pyglue.api.workspaces import WorkspaceAddParams
from pyglue.errors import ErrorCode, HiveError

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

OWNER: Final = (62007, 62008) if os.geteuid() == 0 else (os.getuid(), os.getgid())
NIX: Final = """{
  hyperhive.allowedTools = [ "Bash" "Read" "Edit" "Write" "Grep" "Glob" ];
  hyperhive.bash.allow = null;
  hyperhive.workspaces.site.access = "%s";
}
"""
CODE: Final = "def add(a, b):\n    return a - b\n"
TEST: Final = """import unittest
from calc import add


class Add(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)
"""

hive = shared_hive(real=("alice",))


def git(place: Path, *arguments: str) -> str:
    """Run git as the owner of the repository would."""
    done = subprocess.run(
        ["git", "-c", "user.name=o", "-c", "user.email=o@localhost", *arguments],
        cwd=place,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_OPTIONAL_LOCKS": "0",  # to look changes nothing
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("owner") / "site"
    place.mkdir()
    (place / "calc.py").write_text(CODE)
    (place / "test_calc.py").write_text(TEST)
    git(place, "init", "-q", "-b", "main")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "Add two numbers")
    for path in (place, *place.rglob("*")):
        os.chown(path, *OWNER, follow_symlinks=False)
    place.chmod(0o700)
    return place


def tool(name: str, **given: Any) -> dict[str, Any]:
    return {"tool": name, "input": given}


def bash(command: str) -> dict[str, Any]:
    return tool("Bash", command=command, description="work")


def report(body: str) -> dict[str, Any]:
    return tool("mcp__hive__send", to="operator", body=body)


async def test_what_nobody_named_is_refused_with_what_there_is(hive: Hive) -> None:
    with pytest.raises(HiveError, match="no workspace site; it has none") as caught:
        await hive.propose("alice", NIX % "read")
    assert caught.value.code is ErrorCode.MANIFEST_INVALID
    assert "hive workspace add site PATH" in caught.value.message


async def test_it_tests_edits_commits_and_reports(hive: Hive, site: Path) -> None:
    params = WorkspaceAddParams(name="site", path=str(site))
    await hive.operator.call(api.WORKSPACE_ADD, params)
    proposal = await hive.propose("alice", NIX % "write")
    shown = await hive.operator.call(api.APPROVAL, ApprovalParams(id=proposal.approval))
    said = {change.sentence: change.danger for change in shown.policy}
    (new,) = (text for text in said if text.startswith("New workspace site."))
    assert "may read every file" in new
    (write,) = (text for text in said if "from read to write" in text)
    assert "change and delete files of the host" in write
    assert said[write] is Danger.CRITICAL
    operation = await hive.approve(proposal)
    assert (operation.state, operation.error) == (OperationState.DONE, None)
    tests = "cd /work/site && python3 -B -m unittest 2>&1 | tail -3"
    await hive.send(
        "alice",
        script(
            bash(
                f"{tests}; git status --short; echo branch $(git branch --show-current)"
            ),
            tool("Read", file_path="/work/site/calc.py"),
            tool(
                "Edit",
                file_path="/work/site/calc.py",
                old_string="a - b",
                new_string="a + b",
            ),
            tool("Write", file_path="/work/site/NOTES.md", content="# Fixed\n"),
            bash(tests),
            bash(
                "pwd; git add -A && git commit -qm 'Add, do not subtract'; git log -1"
            ),
            tool("Grep", pattern="a [+] b", path="/work/site", output_mode="content"),
            report(
                "first: {{result:FAILED.*}}; then: {{result:OK$}}; "
                "{{result:commit ([0-9a-f]+)}}"
            ),
            {"text": "done"},
        ),
    )
    answer = await hive.answer("alice", "first:")
    head = git(site, "rev-parse", "HEAD")
    assert answer.body == f"first: FAILED (failures=1); then: OK; {head}"
    assert git(site, "status", "--short") == ""
    assert git(site, "log", "-1", "--format=%s") == "Add, do not subtract"
    assert "+    return a + b" in git(site, "show")
    owners = {
        (path.lstat().st_uid, path.lstat().st_gid) for path in (site, *site.rglob("*"))
    }
    assert owners == {OWNER}


async def test_its_prompt_names_what_it_has(hive: Hive) -> None:
    await hive.send(
        "alice",
        script(
            report(
                "prompt: {{system:`/work/site`: [^;]*; you may \\w+ in it}} "
                "{{system:`/shared`[^;]*; you may only read it}}"
            ),
            {"text": "done"},
        ),
    )
    answer = await hive.answer("alice", "prompt:")
    assert "the workspace site" in answer.body
    assert "you may only read it" in answer.body


async def test_what_lies_in_it_configures_nothing(hive: Hive, site: Path) -> None:
    """No file of a workspace becomes an instruction, a hook, a skill or a server."""
    hook = {"hooks": [{"type": "command", "command": "touch /state/hooked"}]}
    settings = {"hooks": {"PreToolUse": [{"matcher": "*", **hook}]}}
    servers = {"mcpServers": {"evil": {"command": "touch", "args": ["/state/served"]}}}
    files = {
        "CLAUDE.md": "EVIL-MEMORY",
        ".claude/settings.json": json.dumps(settings),
        ".claude/settings.local.json": json.dumps(settings),
        ".claude/skills/evil/SKILL.md": "---\nname: evil\n"
        "description: EVIL-SKILL\n---\nEVIL-SKILL\n",
        ".claude/agents/evil.md": "---\nname: evil\ndescription: EVIL-AGENT\n---\n",
        ".claude/commands/evil.md": "EVIL-COMMAND",
        ".mcp.json": json.dumps(servers),
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    await hive.operator.call(RESTART, AgentParams(agent="alice"))
    await hive.idle("alice")
    await hive.send(
        "alice",
        script(
            tool("Read", file_path="/work/site/calc.py"),
            bash("cd /work/site && pwd"),
            report(
                "here: {{system:EVIL-\\w+}} {{user:EVIL-\\w+}} {{result:EVIL-\\w+}}"
            ),
            {"text": "done"},
        ),
    )
    answer = await hive.answer("alice", "here:")
    assert answer.body.count("nothing matches") == 3
    state = hive.local.config.layout.agent_state("alice")
    assert not (state / "hooked").exists()
    assert not (state / "served").exists()
    git(site, "clean", "-qfdx")


async def test_with_read_access_nothing_is_written(hive: Hive, site: Path) -> None:
    operation = await hive.approve(await hive.propose("alice", NIX % "read"))
    assert operation.error is None
    before = git(site, "rev-parse", "HEAD")
    await hive.send(
        "alice",
        script(
            tool("Read", file_path="/work/site/calc.py"),
            tool("Write", file_path="/work/site/calc.py", content="x"),
            bash("cd /work/site; touch new; git commit --allow-empty -m x; true"),
            report(
                "read: {{result:return a . b}}; "
                "wrote: {{result:Read-only file system|EROFS}}"
            ),
            {"text": "done"},
        ),
    )
    answer = await hive.answer("alice", "read:")
    assert answer.body.startswith("read: return a + b; wrote: ")
    assert "nothing matches" not in answer.body
    assert git(site, "rev-parse", "HEAD") == before
    assert not (site / "new").exists()
    assert (site / "calc.py").read_text() == CODE.replace("-", "+")


async def test_a_workspace_that_is_gone_fails_the_start_with_its_name(
    hive: Hive, site: Path
) -> None:
    away = site.with_name("away")
    site.rename(away)
    try:
        operation = await hive.approve(await hive.propose("alice", NIX % "write"))
        assert operation.error is not None
        assert f"The directory of the workspace site, {site}," in operation.error
    finally:
        away.rename(site)
