"""The Bash gate: commands that run under the manager's patterns, and those refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyglue.harness.gate.gate import Gate

MANAGER = (
    "cd /agents/*",
    "ls *",
    "cat *.nix",
    "git add *",
    "git commit *",
    "git log *",
    "git grep *",
    "git status",
    "git -C /agents/*/config commit *",
    "git -C /agents/*/config status *",
    "nix-instantiate --parse *",
    "timeout 5 make check",
    "git -c core.pager=cat show *",
)


def gate(*patterns: str) -> Gate:
    return Gate(tools=["Bash", "Read"], bash_allow=patterns)


ALLOWED = [
    "git status",
    "  git status  ",
    "git status\n",
    "git\tstatus",
    "git add agent.nix",
    "git add .",
    "git add -A",
    "git add -u agent.nix",
    "git commit -m 'Change the model: it is $5 cheaper; `really`'",
    'git commit -m "Say why, in a sentence"',
    "git commit -m 'two\n\nparagraphs'",
    "git commit -a -m x",
    "git commit --message='a b'",
    'git commit -m "std::vector = x"',
    "git log HEAD~1 --oneline -n 5",
    "git log main..HEAD^",
    "git log HEAD -- agent.nix",
    "git add a.nix && git commit -m x",
    "git add a.nix; git commit -m x\ngit status",
    "git add a.nix || git status",
    "git add a.nix &&\n git status",
    "git log | cat agent.nix",
    "cd /agents/bob/config && git add agent.nix && git commit -m 'x'",
    "cd /agents/bob/config",
    "cat /agents/bob/config/agent.nix",
    "git -C /agents/bob/config commit -m 'x'",
    "git -C '/agents/bob/config' status",
    "git -C /agents/bob/config status --short",
    "'git' status",
    'g"it" status',
    "nix-instantiate --parse agent.nix",
    "nix-instantiate --parse agent.nix --json",
    "timeout 5 make check",
    "git -c core.pager=cat show HEAD",
    "ls",
    "ls -la /agents",
    "ls 2",
    "ls ''",
    "ls 'é' \"ü\"",
]


REFUSED = [
    "",
    "   ",
    "rm -rf /",
    "git push",
    "git statusx",
    "git status --short",
    "gi status",
    "GIT status",
    "/usr/bin/git status",
    "./git status",
    # the shell's own powers
    "git status > /state/x",
    "git status >> x",
    "git status 2>&1",
    "git status < x",
    "git log <<< x",
    "git log << EOF\nx\nEOF",
    "git status &",
    "git status & git status",
    "git log |& cat a.nix",
    "git add $(touch F)",
    "git add `touch F`",
    'git add "$(touch F)"',
    'git add "`touch F`"',
    "git add <(touch F)",
    "git add $HOME",
    'git add "$HOME"',
    "git add ${HOME}",
    "git add $((1+1))",
    "git add $'a\\nb'",
    'git add $"a"',
    "X=1 git status",
    "X=1",
    "export X=1",
    "(git status)",
    "{ git status; }",
    "if git status; then ls; fi",
    "for i in a b; do ls; done",
    "while git status; do ls; done",
    "case a in a) ls;; esac",
    "f() { ls; }; f",
    "function f { ls; }",
    "! git status",
    "[ -e x ]",
    "[[ -e x ]]",
    "ls *",
    "ls *.nix",
    "ls a?",
    "ls [ab]",
    "ls {a,b}",
    "ls {1..3}",
    "ls ~",
    "ls ~root",
    "ls a=~/x",
    "ls a:~/x",
    "ls a\\ b",
    "ls a\\\nb",
    'ls "a\\"b"',
    "ls # comment",
    "# comment",
    "ls !!",
    "ls =git",
    "ls ^a",
    "ls é",
    "ls 'a",
    'ls "a',
    "ls\rls",
    "ls \x00",
    "ls \x1b[31m",
    "ls \ud800",
    "ls ;; ls",
    "ls &&",
    "&& ls",
    "| ls",
    "ls;;",
    "ls @(a)",
    "time git status",
    "coproc git status",
    # other programs in front
    "env git status",
    "timeout 5 git status",
    "timeout 5 make check now",
    "bash -c 'git status'",
    "sh -c 'git status'",
    "xargs git status",
    "nohup git status",
    "sudo git status",
    "exec git status",
    "eval git status",
    "command git status",
    "builtin cd /",
    "source x",
    ". x",
    "nice git status",
    "git status && touch F",
    "git status; touch F",
    "git status\ntouch F",
    "git log | sh",
    # git's own powers
    "git -c alias.x='!touch F' x",
    "git -c core.pager=touch log",
    "git -c core.pager=cat -c alias.show='!sh' show",
    "git --exec-path=/state log",
    "git --git-dir=/state/x log",
    "git -C /state/x status",
    "git -p log",
    "git log --output=F",
    "git log --outp F",
    "git log --output F",
    "git log -o F",
    "git grep -O x",
    "git grep -Otouch x",
    "git grep -lOtouch x",
    "git grep --open-files-in-pager=touch x",
    "git grep --open=touch x",
    "git log --ext-diff",
    "git commit -c HEAD",
    # paths
    "cd /agents/../etc",
    "cd /agents/bob/..",
    "cd /agents",
    "cd /agents/bob x",
    "cd /etc",
    "git -C /agents/../state/config status",
    "git -C /agents/bob/config -c x=y commit",
    "cat --x.nix",
    "cat a.nix b.nix",
    # nix
    "nix-instantiate --parse --eval x.nix",
    "nix-instantiate --parse -E 1",
    "nix-instantiate --parse --option plugin-files x a.nix",
    "nix-instantiate --eval x.nix",
]


@pytest.mark.parametrize("command", ALLOWED)
def test_runs(command: str) -> None:
    assert gate(*MANAGER).refusal_of_command(command) is None


@pytest.mark.parametrize("command", REFUSED)
def test_is_refused(command: str) -> None:
    reason = gate(*MANAGER).refusal_of_command(command)
    assert reason is not None
    assert reason.startswith("Not run: ")


@settings(max_examples=200, deadline=None)
@given(command=st.text(max_size=60))
def test_any_text_is_answered(command: str) -> None:
    reason = gate("git status", "ls *").refusal_of_command(command)
    assert reason is None or reason.startswith("Not run: ")
