"""Real programs and hostile arguments: each runs or writes a canary, and is refused.

Each command is run by bash in bubblewrap as it stands, to see that it does what the
gate refuses it for; then the gate is asked under the pattern that would let it run.
Programs that this machine does not have are skipped.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.harness.gate.gate import Gate

pytestmark = pytest.mark.needs("bwrap", "git")

_BASH: Final = shutil.which("bash") or "/bin/bash"
_BUILTINS: Final = frozenset({"source", ".", "eval", "cd"})
STATUS: Final = "git status"
COMMIT: Final = "git commit -qam later"

_SEED: Final = """
printf '#!/bin/sh\\ntouch /tmp/work/FIRED\\nexit 0\\n' > evil; chmod +x evil
printf 'touch /tmp/work/FIRED\\n' > evil.sh
printf 'open("/tmp/work/FIRED", "w")\\n' > evil.py
printf '[core]\\n\\tfsmonitor = /tmp/work/evil\\n' > evilconfig
printf 'int main(void){return 0;}\\n' > x.c; printf 'a\\nb\\n' > f
printf 'all:\\n\\t@echo one\\n' > Makefile
printf '{"name":"x","version":"1.0.0","scripts":{"x":"echo x"}}' > package.json
git init -q . && git add f && git commit -qm x; echo c >> f
mkdir -p .git/hooks hooks && cp evil hooks/pre-commit
tar -cf t.tar f; tar -cf hooks.tar hooks
python3 -m zipfile -c hooks.zip hooks
"""
_BEGIN: Final = "cp -a /tmp/seed/. /tmp/work; cd /tmp/work"
_ENVIRONMENT: Final = {
    "PATH": os.environ["PATH"],
    "HOME": "/tmp/work",
    "GIT_PAGER": "cat",
    **{
        f"GIT_{who}_{what}": "t@t"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


class Case(NamedTuple):
    """A hostile command, what makes it ready, and an allowed one that follows."""

    pattern: str
    hostile: str
    ready: str = ":"
    later: str = ":"


_CASES: Final = [
    Case("source *", "source ./evil.sh"),
    Case(". *", ". ./evil.sh"),
    Case("*", "eval ./evil"),
    Case("*", "./evil"),
    Case("env *", "env ./evil"),
    Case("timeout *", "timeout 5 ./evil"),
    Case("xargs *", "xargs -a f ./evil"),
    Case("nice *", "nice ./evil"),
    Case("setsid *", "setsid -w ./evil"),
    Case("flock *", "flock f ./evil"),
    Case("script *", "script -qc ./evil /dev/null"),
    Case("awk *", "awk 'BEGIN{system(\"./evil\")}'"),
    Case("perl *", "perl -e 'system \"./evil\"'"),
    Case("python3 *", "python3 evil.py"),
    Case("python3 -m *", "python3 -m evil"),
    Case(
        *("python3 -m pytest *", "python3 -m pytest -p evil"),
        "export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
    ),
    Case("node *", 'node -e \'require("fs").writeFileSync("FIRED","")\''),
    Case("git *", "git -c core.fsmonitor=/tmp/work/evil status"),
    Case("git *", "git grep -O./evil a"),
    Case("git *", "git grep --open=./evil a"),
    Case("git *", "git -c alias.x='!./evil' x"),
    Case("git *", "git rebase --exec ./evil HEAD~1", ready="git commit -qam y"),
    Case("git *", "git log --output=FIRED"),
    Case("git *", "git difftool -yx ./evil HEAD~1", ready="git commit -qam y"),
    Case("git clone *", "git clone --upload-pack=/tmp/work/evil /tmp/work c"),
    Case("git clone *", "git clone -u /tmp/work/evil /tmp/work c"),
    Case("git fetch *", "git fetch --upload-pack /tmp/work/evil /tmp/work"),
    Case("git archive *", "git archive -o FIRED HEAD"),
    Case("git config *", "git config core.fsmonitor ./evil", later="git status"),
    Case("git *", "git mv f .gitconfig", "cp evilconfig f", "git status"),
    Case("cp *", "cp evilconfig .config/git/config", "mkdir -p .config/git", STATUS),
    Case("cp *", "cp evilconfig .gitconfig", later=STATUS),
    Case("cp *", "cp evilconfig .git/config", later=STATUS),
    Case("cp *", "cp -r hooks .git", later=COMMIT),
    Case("cp *", "cp -t.git/hooks hooks/pre-commit", later=COMMIT),
    Case("cp *", "cp --target-dir=.git/hooks hooks/pre-commit", later=COMMIT),
    Case("cp *", "cp -bS rc f .bash", "cp evil.sh .bash", "bash -ic :"),
    Case("mv *", "mv evilconfig .gitconfig", later=STATUS),
    Case("ln *", "ln -s .git g", later="cp evilconfig g/config; git status"),
    Case("cd *", "cd .git", later="cp ../evilconfig config; cd ..; git status"),
    Case("tee *", "tee .bashrc < evil.sh", later="bash -ic :"),
    Case("dd *", "dd if=evilconfig of=.gitconfig", later=STATUS),
    Case("install *", "install hooks/pre-commit .git/hooks", later=COMMIT),
    Case("tar *", "tar -C .git -xf hooks.tar", later=COMMIT),
    Case("unzip *", "unzip -qo hooks.zip -d .git", later=COMMIT),
    Case("tar *", "tar --to-command=./evil -xf t.tar"),
    Case("tar *", "tar --to-c=./evil -xf t.tar"),
    Case("tar *", "tar -I./evil -xf t.tar"),
    Case("tar *", "tar xIf ./evil t.tar"),
    Case("tar *", "tar -cf x.tar f --checkpoint=1 --checkpoint-action=exec=./evil"),
    Case("find *", "find f -exec ./evil ';'"),
    Case("find *", "find f -fprint FIRED"),
    Case("sed *", "sed '1e ./evil' f"),
    Case("sed *", "sed 'w FIRED' f"),
    Case("sort *", "sort -o FIRED f"),
    Case("sort *", "sort --outp=FIRED f"),
    Case("split *", "split --filter=./evil f"),
    Case("uniq *", "uniq f FIRED"),
    Case("uniq *", "uniq -- -f FIRED", "cp f ./-f"),
    Case("xxd *", "xxd f FIRED"),
    Case("shuf *", "shuf -oFIRED f"),
    Case("iconv *", "iconv -o FIRED f"),
    Case("install *", "install -s --strip-program=./evil f g"),
    Case("patch *", "patch -o FIRED f d.diff", "diff -u f Makefile > d.diff"),
    Case("zip *", "zip -q -T -TT './evil #' y.zip f"),
    Case("gcc *", "gcc -wrapper ./evil x.c"),
    Case("gcc *", "gcc -B/tmp/work x.c", "cp evil as"),
    Case("gcc *", "gcc -Wl,-Map,FIRED x.c"),
    Case("make *", "make SHELL=./evil"),
    Case("make *", "make --eval='$(shell ./evil)'"),
    Case("make *", "make -f g", "printf 'x:\n\t./evil\n' > g"),
    Case("cmake *", "cmake -E env ./evil"),
    Case("cmake *", "cmake -P g", "printf 'file(WRITE FIRED x)' > g"),
    Case("ctest *", "ctest -S g", "printf 'file(WRITE FIRED x)' > g"),
    Case(
        *("ninja *", "ninja -f g"),
        "printf 'rule r\n command = ./evil\nbuild o: r\n' > g",
    ),
    Case("npm run *", "npm run x --script-shell=/tmp/work/evil"),
    Case("npm run *", "npm run x --script-sh=/tmp/work/evil"),
    Case("npm exec *", "npm exec --offline -c ./evil"),
    Case("openssl *", "openssl rand -out FIRED 1"),
    Case("openssl *", "openssl dgst --out FIRED f"),
    Case("curl *", "curl -so FIRED file:///tmp/work/f"),
    Case("curl *", "curl -s --libcurl FIRED file:///tmp/work/f"),
    Case(
        "curl *", "curl -sK g", r"printf 'output=FIRED\nurl=file:///tmp/work/f\n' > g"
    ),
    Case("wget *", "wget -qo FIRED http://127.0.0.1:1/"),
    Case("ssh *", "ssh -oProxyCommand=./evil x"),
    Case("sqlite3 *", "sqlite3 :memory: '.shell ./evil'"),
    Case("vim *", "vim -es -c '!./evil' -c q"),
    Case("file *", "file -C -m g", r"printf '0 string a a\n' > g", "cp g.mgc FIRED"),
]


def _is_here(case: Case) -> bool:
    """Tell whether this machine has the program; builtins are everywhere."""
    name = shlex.split(case.hostile)[0]
    return name in _BUILTINS or "/" in name or shutil.which(name) is not None


_HERE: Final = [case for case in _CASES if _is_here(case)]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what each command finds in its directory."""
    room = tmp_path_factory.mktemp("seed")
    env = {**_ENVIRONMENT, "HOME": str(room)}
    subprocess.run([_BASH, "-ec", _SEED], check=True, env=env, cwd=room)
    return room


@pytest.mark.parametrize("case", _HERE, ids=[case.hostile for case in _HERE])
def test_what_fires_is_refused(case: Case, seed: Path) -> None:
    script = "\n".join([_BEGIN, case.ready, "rm -f FIRED", case.hostile, case.later])
    done = subprocess.run(
        [
            *("bwrap", "--unshare-all", "--die-with-parent", "--new-session"),
            *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
            *("--tmpfs", "/tmp", "--dir", "/tmp/work", "--clearenv"),
            *("--ro-bind", str(seed), "/tmp/seed"),
            *(x for pair in _ENVIRONMENT.items() for x in ("--setenv", *pair)),
            *("--", _BASH, "-c", f"{{ {script}\n}} >&2; test -e FIRED"),
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"it does not fire: {done.stderr.decode()[-2000:]}"
    refused = Gate(tools=["Bash"], bash_allow=[case.pattern]).refusal_of_command(
        case.hostile.partition(" < ")[0]
    )
    assert refused is not None
    assert "not understood" not in refused
