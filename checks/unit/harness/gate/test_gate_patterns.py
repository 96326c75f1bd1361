"""The Bash gate: what each pattern allows, the text of refusals, and other tools."""

from typing import Any

import pytest

from pyglue.bash_policy import suggest
from pyglue.harness.gate.gate import Gate
from pyglue.manifest.schema import Schema


def gate(*patterns: str) -> Gate:
    return Gate(tools=["Bash", "Read"], bash_allow=patterns)


@pytest.mark.parametrize(
    ("pattern", "command", "runs"),
    [
        ("git *", "git", True),
        ("git *", "git status", True),
        ("git *", "git push", False),
        ("git push *", "git push origin main", True),
        ("git push *", "git push --receive-pack=sh origin", False),
        ("git push *", "git push ext::sh", False),
        ("git *", "git config alias.x '!sh'", False),
        ("git config *", "git config user.name x", True),
        ("git *", "git --version", False),
        ("git --version", "git --version", True),
        ("git clone *", "git clone -u sh x", False),
        ("git rebase *", "git rebase -x sh main", False),
        ("git rebase *", "git rebase --exec sh main", False),
        ("git archive *", "git archive -o F HEAD", False),
        ("git archive -o F *", "git archive -o F HEAD", True),
        ("*", "echo a", True),
        ("*", "env a", False),
        ("*", "git -c a=b status", False),
        ("*", "'if' a", False),
        ("bash *", "bash -c 'x'", False),
        ("bash *", "bash", False),
        ("bash run.sh", "bash run.sh", True),
        ("/bin/bash *", "/bin/bash x", False),
        ("env A=1 make", "env A=1 make", True),
        ("find . *", "find . -name x", True),
        ("find . *", "find . -exec sh", False),
        ("find . *", "find . -delete", False),
        ("uniq *", "uniq -f 3 -- x", True),
        ("uniq *", "uniq -- -x", True),
        ("uniq *", "uniq x y", False),
        ("uniq *", "uniq -- x -y", False),
        ("uniq *", "uniq -- -f y", False),  # the value of no option
        ("xxd *", "xxd -l 16 -- x", True),
        ("xxd *", "xxd x --", False),  # writes a file of that name
        ("xxd *", "xxd x -p", False),
        ("hostname *", "hostname -- -x", False),
        ("sort *", "sort -u x", True),
        ("sort *", "sort -oF x", False),
        ("sort *", "sort --compress-prog=sh x", False),
        ("tar *", "tar --to-command=sh x", False),
        ("rg *", "rg --pre sh x", False),
        ("rsync *", "rsync -e sh a b", False),
        ("printf *", "printf -v PATH x", False),
        ("nix *", "nix build", True),
        ("nix *", "nix run --impure x", False),
        ("make *-test", "make unit-test", True),
        ("make *-test", "make -f-test", False),
        ("python3 *", "python3 -c x", False),
        ("python3 *", "python3", False),
        ("python3.11 *", "python3.11 x.py", False),
        ("python3 /state/x.py *", "python3 /state/x.py -c y", True),
        ("python3 -m pytest *", "python3 -m pytest -q", True),
        ("python3 -m *", "python3 -m http.server", False),
        ("perl -n *", "perl -n -e 1", False),
        ("awk *", "awk 'BEGIN{system(\"sh\")}'", False),
        ("awk {print$1} *", "awk '{print$1}' f", True),
        ("node *", "node -e 1", False),
        ("sed *", "sed -n 1,20p f", True),
        ("sed *", "sed s/a/b/g f", True),
        ("sed *", "sed -e 1p -e 's/a/b/;2d' f", True),
        ("sed *", "sed '$!d' f", True),
        ("sed *", "sed s/a/b/e f", False),
        ("sed *", "sed 's/a/b/w F' f", False),
        ("sed *", "sed '1e sh' f", False),
        ("sed *", "sed 'w F' f", False),
        ("sed *", "sed p f -i", False),
        ("sed *", "sed -e p -e e f", False),
        ("sed *", "sed -f f", False),
        ("sed *", "sed '/[/s/]x/e sh/p' f", False),
        ("sed -f run.sed *", "sed -f run.sed f", True),
        ("sed -i s/a/b/ *", "sed -i s/a/b/ f", True),
        ("tar *", "tar xf f.tar", True),
        ("tar *", "tar xIf sh f.tar", False),
        ("tar *", "tar --checkpoint=1 --checkpoint-act=exec=sh -cf x y", False),
        ("tar *", "tar -Ish -xf x", False),
        ("make *", "make test", True),
        ("make *", "make SHELL=sh", False),
        ("make *", "make --eval x", False),
        ("make *", "make -C /tmp", False),
        ("split *", "split --filter=sh f", False),
        ("zip *", "zip -T -TT sh a b", False),
        ("curl *", "curl -s http://x", True),
        ("curl *", "curl -o F http://x", False),
        ("curl *", "curl -sK F", False),
        ("wget *", "wget --use-ask=sh x", False),
        ("fd *", "fd -x sh", False),
        ("ssh *", "ssh -o ProxyCommand=sh x", False),
        ("scp *", "scp -S sh a b", False),
        ("ssh host uptime", "ssh host uptime", True),
        ("xargs *", "xargs sh", False),
        ("stdbuf *", "stdbuf -o0 sh", False),
        ("setsid *", "setsid sh", False),
        ("vim *", "vim -c !sh", False),
        ("man *", "man -P sh x", False),
        ("sqlite3 *", "sqlite3 x '.shell sh'", False),
        ("/lib64/ld-linux-x86-64.so.2 *", "/lib64/ld-linux-x86-64.so.2 /bin/sh", False),
        ("nix *", "nix run x", False),
        ("nix shell *", "nix shell x", True),
        ("git submodule *", "git submodule foreach sh", False),
        ("git submodule *", "git submodule status", True),
        ("git bisect *", "git bisect run sh", False),
        ("git bisect good", "git bisect good", True),
        ("git difftool *", "git difftool -y", False),
        ("git config *", "git config core.fsmonitor sh", False),
        ("git config *", "git config --add alias.x !sh", False),
        ("git config *", "git config set core.pager sh", False),
        ("git config *", "git config --file F user.name x", False),
        ("git config *", "git config --rename-section a core", False),
        ("git config core.pager *", "git config core.pager cat", True),
        ("git merge *", "git merge -s sh x", False),
        ("git merge *", "git merge --strategy=sh x", False),
        ("git log *", "git log --stat", True),
        ("git fetch *", "git fetch --upload-pa=sh x", False),
        ("rsync *", "rsync --rsync-path=sh a b", False),
        ("ls * -l", "ls x -l", True),
        ("ls * -l", "ls -R -l", False),
        ("ls * -l", "ls ../x -l", False),
        ("ls a*c", "ls abc", True),
        ("ls a*c", "ls 'a\nc'", True),
        ("ls a.c", "ls abc", False),
        ("ls a", "ls a b", False),
        ("ls a b", "ls a", False),
        # subscripts and names that a builtin evaluates
        ("test *", "test -f x -a -d y", True),
        ("test *", "test -v 'a[$(touch F)]'", False),
        ("test -d *", "test -d x -o -v 'a[$(touch F)]'", False),
        ("test *", "test -R x", False),
        ("test -v *", "test -v 'a[$(touch F)]'", False),
        ("test -v HOME", "test -v HOME", True),
        ("*", "'[' -v 'a[$(touch F)]' ']'", False),
        ("printf *", "printf '%s-%d%%n' x 1", True),
        ("printf *", "printf -- '-v'", False),
        ("printf *", "printf '-va[$(touch F)]' x", False),
        ("printf *", "printf 'x%n' PATH", False),
        ("printf *", "printf 'x%-5ln' PATH", False),
        ("*", "unset 'a[$(touch F)]'", False),
        ("*", "read 'a[$(touch F)]'", False),
        ("*", "wait -p 'a[$(touch F)]'", False),
        ("*", "mapfile -C 'touch F' -c 1 x", False),
        ("*", "enable -f ./x.so x", False),
        ("*", "hash -p ./x git", False),
        ("*", "cd x", True),
        # what the shell or git runs by itself
        ("cp *", "cp x y", True),
        ("cp *", "cp x /state/.bashrc", False),
        ("dd *", "dd if=x of=.profile", False),
        ("tee *", "tee .git/hooks/pre-commit", False),
        ("cat *", "cat .git/config", False),
        ("cat *", "cat .git/HEAD", True),
        ("cp x .bashrc", "cp x .bashrc", True),
        # more programs that run what they are told
        ("choom *", "choom -n 1 sh", False),
        ("ccache *", "ccache sh", False),
        ("hyperfine *", "hyperfine sh", False),
        ("bat *", "bat --pager=sh x", False),
        ("bat *", "bat x", True),
        ("gcc *", "gcc -c x.c -o x.o", True),
        ("gcc *", "gcc -wrapper sh,-c x.c", False),
        ("gcc-12 *", "gcc-12 -wrapper sh,-c x.c", False),
        ("cc *", "cc -fplugin=./x.so x.c", False),
        ("gcc *", "gcc @flags", False),
        ("go *", "go test ./...", True),
        ("go *", "go build -toolexec=sh", False),
        ("go *", "go vet --vettool sh", False),
        ("cargo *", "cargo --config x build", False),
        ("tcpdump *", "tcpdump -z sh", False),
        ("tar *", "tar -cf x.tar -T list", False),
        ("tar *", "tar --files-from=list -cf x.tar", False),
        ("curl *", "curl -w '%output{F}x' http://x", False),
        ("pandoc *", "pandoc --filter sh x", False),
        ("latex *", "latex -shell-escape x", False),
        ("ts-node *", "ts-node -e 1", False),
    ],
)
def test_pattern(pattern: str, command: str, runs: bool) -> None:
    assert (gate(pattern).refusal_of_command(command) is None) == runs


def test_reason_names_what_is_allowed() -> None:
    reason = gate("git status", "ls *").refusal_of_command("rm x")
    assert reason is not None
    assert "'rm x' matches no allowed pattern" in reason
    assert "git status; ls *" in reason
    nothing = gate().refusal_of_command("ls")
    assert nothing is not None
    assert "may not run any Bash command" in nothing


def test_long_lists_of_patterns_are_cut_in_the_reason() -> None:
    reason = gate(*[f"make t{i}" for i in range(60)]).refusal_of_command("rm")
    assert reason is not None
    assert "and 20 more" in reason


def test_long_and_deep_commands_are_refused_quickly() -> None:
    assert gate("ls *").refusal_of_command("ls " + "a" * 20000) is not None
    assert gate("ls *").refusal_of_command("ls&&" * 4000 + "ls") is None
    assert gate("ls *").refusal_of_command("(" * 8000) is not None


@pytest.mark.parametrize(
    ("tool", "arguments", "refused"),
    [
        ("Bash", {"command": "git status"}, False),
        ("Bash", {"command": "git status", "run_in_background": True}, True),
        ("Bash", {"command": "git status", "dangerouslyDisableSandbox": True}, True),
        ("Bash", {}, True),
        ("Bash", {"command": ["git", "status"]}, True),
        ("Read", {"file_path": "/x"}, False),
        ("Write", {"file_path": "/x"}, True),
        ("SendMessage", {}, True),
        ("mcp__hive__send", {}, False),
    ],
)
def test_tools(tool: str, arguments: dict[str, object], refused: bool) -> None:
    refusal = gate("git status").refusal(tool, arguments)
    assert (refusal is not None) == refused


def test_other_tools_that_run_commands_pass_the_same_gate() -> None:
    watcher = Gate(tools=["Monitor", "REPL"], bash_allow=["git status"])
    assert watcher.refusal("Monitor", {"command": "git status"}) is None
    assert watcher.refusal("Monitor", {"command": "rm x"}) is not None
    assert watcher.refusal("REPL", {"code": "1"}) is not None


async def test_hook_decides_and_tells() -> None:
    told: list[tuple[str, str, str | None]] = []
    watched = Gate(
        tools=["Bash"], bash_allow=["git status"], refused=lambda *x: told.append(x)
    )

    async def decision(tool: str, arguments: Any) -> str:
        call: Any = {"tool_name": tool, "tool_input": arguments}
        answer: Any = await watched.hook(call)
        return str(answer["hookSpecificOutput"]["permissionDecision"])

    assert await decision("Bash", {"command": "git status"}) == "allow"
    assert told == []
    assert await decision("Bash", {"command": "rm x"}) == "deny"
    assert await decision("Bash", None) == "deny"  # whatever fails is a refusal
    assert [(tool, what) for tool, _, what in told] == [
        ("Bash", "rm *"),
        ("Bash", None),
    ]
    assert "failed to judge" in told[1][1]


# --- any command, output into files, and what would allow a command ------------------

ANYTHING = (
    "x=1; for i in a b; do echo $i > /tmp/$i & done; wait",
    "cat <<EOF\n$(id)\nEOF",
    "sudo rm -rf / 2>&1",
    "if",
)


@pytest.mark.parametrize("command", ANYTHING)
def test_without_patterns_any_command_runs(command: str) -> None:
    free = Gate(tools=["Bash", "Write"], bash_allow=None)
    assert free.refusal_of_command(command) is None
    for arguments in (
        {"command": command},
        {"command": "a", "run_in_background": True},
    ):
        assert free.refusal("Bash", arguments) is None
    assert free.refusal("Write", {"file_path": "/state/.bashrc"}) is None
    assert free.refusal("Edit", {"file_path": "/state/x"}) is not None  # not its tool
    assert gate("a *").refusal("Bash", {"command": "a", "run_in_background": True})


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("a x > out.txt", None),
        ("a x >> d/out.txt 2>&1", None),
        ("a x &> 'my file' && a y | a z > f", None),
        ("a x > /state/out", "below the working directory"),
        ("a x > ../out", "below the working directory"),
        ("a x > d/../../out", "below the working directory"),
        ("a x > .bashrc", "reads it as commands"),
        ("a x > .git/config", "reads it as commands"),
        ("a x > d/.git/hooks/pre-commit", "reads it as commands"),
        ("a x > ~/f", "special meaning"),
        ("a x > f*", "redirection"),
        ("a x > ''", "redirection"),
        ("b x > out.txt", "matches no allowed pattern"),
    ],
)
def test_output_into_files(command: str, said: str | None) -> None:
    writes = Gate(tools=["Bash"], bash_allow=["a *"], bash_write=True)
    reason = writes.refusal_of_command(command)
    assert (reason is None) if said is None else (reason and said in reason), reason
    if said is None:
        refused = gate("a *").refusal_of_command(command)
        assert refused is not None
        assert "hyperhive.bash.write" in refused


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        ("npm run test", "npm run *"),
        ("git push origin main", "git push *"),
        ("git log --output=F", "git log --output=F *"),
        ("git status", "git status *"),
        ("cp a b", "cp *"),
        ("pytest -q", "pytest *"),
        ("python3 x.py a", "python3 x.py *"),
        ("bash run.sh", "bash run.sh"),
        ("frob make it", "frob make *"),
        ("frob --exec x", "frob --exec *"),
        ("timeout 60 make x", "timeout 60 make *"),
        ("rm ./a*", "rm *"),
        ("python3 ./*.py", None),
        ("echo 'a  b' '*'", "echo *"),
        ("bash -c 'a b'", None),
    ],
)
def test_a_refusal_names_a_pattern_that_works(
    command: str, pattern: str | None
) -> None:
    refused = gate("only this").refusal_of_command(command)
    assert refused is not None
    if pattern is None:
        assert "would allow it" not in refused
        return
    assert f"would allow it: {pattern}. " in refused
    assert gate(pattern).refusal_of_command(command) is None


def test_suggestions_have_the_form_of_an_entry() -> None:
    items = Schema.load().document["properties"]["bash"]["properties"]["allow"]["items"]
    assert f"|{suggest.TEXT.pattern})" in items["pattern"]
    assert items["maxLength"] == suggest.TEXT_MAX
