"""An agent that may run any command: it writes code, tests it, commits, and reports."""

import asyncio
from pathlib import Path

import pytest

from checks.kits.host.hive import running_hive, script
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams, Effect
from pyglue.api.operations import OperationState

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.needs("nix", "git", "bwrap"),
]

ANY = """{ ... }:
{
  hyperhive = {
    description = "Writes code";
    allowedTools = [ "Bash" "Read" "Write" ];
    bash.allow = %s;
  };
}
"""
PATTERNS = '[ "Bash(echo:*)" "seq *" ]'

WORK = r"""
set -eu
git init -q project; cd project
cat > count.py <<'EOF'
def count(words):
    return len(words.split())
EOF
cat > test_count.py <<'EOF'
import unittest
from count import count

class TestCount(unittest.TestCase):
    def test_words(self):
        self.assertEqual(count("a b  c"), 3)

unittest.main()
EOF
for file in *.py; do python3 -m py_compile "$file" & done; wait
python3 test_count.py > log.txt 2>&1 || { cat log.txt; exit 1; }
if grep -q '^OK$' log.txt; then git add count.py test_count.py; fi
git commit -q -m "Count words"
echo "made $(git rev-list --count HEAD) commit of $(git ls-files | wc -l) files"
"""


def bash(command: str, **more: object) -> dict[str, object]:
    return {"tool": "Bash", "input": {"command": command, **more}}


def report(found: str) -> dict[str, object]:
    body = f"Report: {{{{result:{found}}}}}"
    return {"tool": "mcp__hive__send", "input": {"to": "operator", "body": body}}


async def test_an_agent_writes_tests_and_commits_code(tmp_path: Path) -> None:
    async with running_hive(tmp_path, real=("alice",)) as hive:
        proposal = await hive.propose("alice", ANY % "null")
        shown = await hive.operator.call(
            api.APPROVAL, ApprovalParams(id=proposal.approval)
        )
        (change,) = [c for c in shown.policy if c.option == "hyperhive.bash.allow"]
        assert change.effect is Effect.WIDENS
        assert "May now run any command in its container" in change.sentence
        assert (await hive.approve(proposal)).state is OperationState.DONE
        await hive.send(
            "alice",
            script(bash(WORK), report("made (1 commit of 2) files"), {"text": "done"}),
        )
        await hive.answer("alice", "Report: 1 commit of 2")
        await hive.idle("alice")

        background = bash(
            "while [ ! -e go ]; do sleep 0.1; done; echo done > came",
            run_in_background=True,
        )
        wait = bash(
            "touch go; until [ -s came ]; do sleep 0.1; done; echo it $(cat came)"
        )
        await hive.send(
            "alice", script(background, wait, report("it (done)"), {"text": "done"})
        )
        await hive.answer("alice", "Report: done")
        await hive.idle("alice")

        narrower = await hive.propose("alice", ANY % PATTERNS)
        assert (await hive.approve(narrower)).state is OperationState.DONE
        steps = (
            bash("seq 3 2>&1 | echo two  > /dev/null; echo ./proj?ct"),
            report("(./project)"),
            bash("cp ./project/*.py ."),
            report(r"would allow it: (cp \*)"),
            {"text": "done"},
        )
        await hive.send("alice", script(*steps))
        await asyncio.gather(
            hive.answer("alice", "Report: ./project"),
            hive.answer("alice", "Report: cp *"),
        )
