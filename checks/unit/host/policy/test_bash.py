"""Patterns at submit: useless ones are refused, powerful ones named."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from pyglue.api.approvals import Effect
from pyglue.bash_policy import review
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.gate.gate import Gate
from pyglue.host.policy.diff import diff_policy
from pyglue.manifest import proposal_checks
from pyglue.text.display import quoted

ROOT: Final = Path(__file__).resolve().parents[4]


def manifest(*patterns: str) -> dict[str, Any]:
    return {"bash": {"allow": list(patterns)}}


def check(found: dict[str, Any]) -> None:
    proposal_checks.check(found, evaluated_at="/hive/agent")


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("bash *", "without '*'"),
        ("sh -c *", "without '*'"),
        (". *", "without '*'"),
        ("source *", "without '*'"),
        ("eval *", "without '*'"),
        ("env *", "without '*'"),
        ("sudo *", "without '*'"),
        ("timeout 60 bash *", "without '*'"),
        ("python *", "name the script"),
        ("python3 -m *", "name the script"),
        ("awk *", "name the script"),
        ("go run *", "go run ./cmd/server *"),
        ("npx *", "npx eslint *"),
        ("npm exec *", "npm exec eslint *"),
        ("uv run *", "uv run pytest *"),
        ("docker run *", "without '*'"),
        ("kubectl exec *", "without '*'"),
        ("ansible *", "name the script"),
        ("xargs *", "without '*'"),
        ("xargs git *", "programs that read"),
        ("git bisect *", "without '*'"),
        ("git -c *", "named by a pattern"),
        ("PYTHONPATH=. pytest *", "set PYTHONPATH in hyperhive.env"),
        ("ls ../*", "write the path out"),
        ("if *", "shell syntax"),
        ("Bash", "write '*' for every command"),
        ("~/x *", "no program is called '~/x'"),
        ("cat ~/notes.md", "the shell replaces '~/notes.md'"),
        ("cp x ~", "the shell replaces '~'"),
        ("{a,b} *", "no program is called"),
        ("perl -I lib *", "name the script"),
        ("deno run *", "deno run main.ts *"),
        ("docker compose exec web *", "docker compose exec web npm test *"),
        ("clojure -M -m x *", "whether '-M' of 'clojure' takes a value"),
    ],
)
def test_a_pattern_that_lets_nothing_run_is_refused(pattern: str, advice: str) -> None:
    with pytest.raises(HiveError) as caught:
        check(manifest("git status", pattern))
    assert caught.value.code is ErrorCode.MANIFEST_INVALID
    assert advice in caught.value.message
    assert quoted(pattern) in caught.value.message
    assert "“git status”" not in caught.value.message


@pytest.mark.parametrize(
    ("pattern", "power"),
    [
        ("*", "names no program"),
        ("* x", "names no program"),
        ("/state/bin/*", "any program that it can place"),
        ("py*", "every program with such a name"),
        ("mytool *", "does not know mytool"),
        ("./run.sh *", "if the agent can write that"),
        ("bash run.sh", "it runs run.sh"),
        ("python3 /state/report.py *", "it runs /state/report.py"),
        ("python3 -m pytest *", "the code of any file"),
        ("pytest *", "the code of any file"),
        ("uv run pytest *", "the code of any file"),
        ("timeout 60 npm install *", "install scripts"),
        ("npm install *", "install scripts"),
        ("pip install *", "build scripts"),
        ("cargo install *", "the code of the packages"),
        ("go run ./cmd/x *", "it runs ./cmd/x"),
        ("patch *", "whatever files a patch names"),
        ("git apply *", "whatever files a patch names"),
        ("tar *", "whatever files an archive holds"),
        ("unzip *", "whatever files an archive holds"),
        ("yarn *", "any program of the packages"),
        ("just *", "any directory that it is pointed at"),
        ("perl -I lib x.pl *", "it runs x.pl"),
        ("docker compose -f a.yml up *", "what the Compose file says"),
        ("find . -name x -exec *", "the value of find -exec"),
        ("git log --output *", "the value of git --output"),
    ],
)
def test_a_pattern_that_hands_over_power_says_so(pattern: str, power: str) -> None:
    check(manifest(pattern))
    before, after = manifest("git status"), manifest("git status", pattern)
    said = [
        change
        for change in diff_policy(before, after, (), ())
        if change.sentence.startswith("The Bash pattern")
    ]
    assert [change.effect for change in said] == [Effect.WIDENS]
    assert f"“{pattern}”" in said[0].sentence
    assert power in said[0].sentence
    again = diff_policy(after, after, (), ())
    assert not [c for c in again if "Bash pattern" in c.sentence]


@pytest.mark.parametrize(
    "pattern", ["git *", "ls *", "npm test", "make *", "cat *.nix"]
)
def test_everyday_patterns_are_taken_without_a_word(pattern: str) -> None:
    assert review.never_matches(pattern) is None
    assert review.power(pattern) is None


def test_the_approval_says_that_patterns_are_no_wall() -> None:
    changes = diff_policy(manifest(), manifest("git *"), (), ())
    assert "This is a policy, not a security boundary" in changes[0].sentence


def _patterns_of_the_repository() -> list[str]:
    found = []
    pages = [*ROOT.glob("agents/*/agent.nix"), *ROOT.glob("templates/*/agent.nix")]
    for page in [*pages, ROOT / "docs/agents.md"]:
        for block in re.findall(
            r"bash\.allow = \[(.*?)\]", page.read_text(), re.DOTALL
        ):
            found += re.findall(r'"([^"]+)"', block)
    return found


@pytest.mark.parametrize("pattern", _patterns_of_the_repository())
def test_our_own_patterns_are_fit_to_propose(pattern: str) -> None:
    assert review.never_matches(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "command"),
    [
        tuple(line.split(" => ", 1))
        for line in (ROOT / "checks/gate/runs.txt").read_text().splitlines()
        if " => " in line and not line.startswith("#")
    ],
)
def test_a_pattern_under_which_something_runs_is_taken(
    pattern: str, command: str
) -> None:
    gate = Gate(tools=["Bash"], bash_allow=[pattern])
    assert gate.refusal_of_command(command) is None
    assert review.never_matches(pattern) is None


def test_many_wildcards_cost_no_time() -> None:
    patterns = [f"ls {'*a' * 140} {i} *" for i in range(200)]
    check(manifest(*patterns))
    gate = Gate(tools=["Bash"], bash_allow=[f"ls {'*a' * 140}"])
    assert gate.refusal_of_command("ls " + "a" * 5000) is None
    assert gate.refusal_of_command("ls " + "a" * 5000 + "b") is not None
