"""The gate against real bash and real programs: allowed commands run nothing else.

Command lines are made from a grammar of shell syntax and of known tricks. Whatever
the gate lets through is run by bash inside bubblewrap, without network and on a
file system that goes away. Every stub on PATH writes down its words, so a program
that no pattern named is seen however it came to run. Each run draws others; ``make
fuzz`` draws thousands (``gate``).
"""

import glob
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyglue.bash_policy.match import Glob
from pyglue.bash_policy.words import names
from pyglue.harness.gate.gate import Gate
from pyglue.harness.gate.words import ShellReader

pytestmark = pytest.mark.needs("bwrap", "git")

_BASH: Final = shutil.which("bash") or "/bin/bash"
_STUBS: Final = ("a", "b", "evil", "git-evil", "git-merge-evil")
_STUB: Final = f"""#!{_BASH}
printf '%s\\0' "${{0##*/}}" "$@" > /tmp/log/$$.$RANDOM$RANDOM
"""
_SEED: Final = """
git init -q -b main . && echo one > f && echo two > g && git add f g &&
git -c user.name=t -c user.email=t@t commit -q -m x && tar -cf t.tar f g && mkdir d &&
touch .mark && touch -r .mark .hid f.c g.c -- -f
"""
_DRIVER: Final = """
mkdir /tmp/log /tmp/work; timeout=$(command -v timeout)
while IFS= read -r -d '' command; do
  rm -rf /tmp/log /tmp/work && mkdir /tmp/log && cp -a /tmp/seed /tmp/work
  cd /tmp/work
  env -i PATH="$STUBS" HOME=/nowhere GIT_PAGER=cat GIT_EDITOR=true \
    "$timeout" -k 1 20 "$BASH" -c "$command" </dev/null >/dev/null 2>&1
  shopt -s nullglob
  for file in /tmp/log/*; do cat "$file"; printf '\\1\\0'; done
  find /tmp/work -path /tmp/work/.git -prune -o -type f -newer .mark -printf \
    'wrote\\0%P\\0\\1\\0'
  printf '\\2\\0'
done
"""
"""Runs each command in a fresh copy of the seed; answers with words of what ran."""


class Room:
    """Bash in a sandbox that runs one command after the other and says what ran."""

    def __init__(self, root: Path, *, real: bool) -> None:
        """With ``real`` the machine's own programs are on PATH, after the stubs."""
        stubs, seed = root / "stubs", root / "seed"
        self._seed = seed
        stubs.mkdir()
        seed.mkdir()
        for name in _STUBS if not real else _STUBS[2:]:
            (stubs / name).write_text(_STUB)
            (stubs / name).chmod(0o755)
        here = os.environ["PATH"]
        env = {"PATH": here, "HOME": str(root)}
        subprocess.run([_BASH, "-ec", _SEED], check=True, env=env, cwd=seed)
        path = f"/tmp/stubs:{here}" if real else "/tmp/stubs"
        places = {"PATH": here, "STUBS": path}
        self._process = subprocess.Popen(
            [
                *("bwrap", "--unshare-all", "--die-with-parent", "--new-session"),
                *("--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp"),
                *("--ro-bind", str(seed), "/tmp/seed"),
                *("--ro-bind", str(stubs), "/tmp/stubs", "--clearenv"),
                *(x for pair in places.items() for x in ("--setenv", *pair)),
                *("--", _BASH, "-c", _DRIVER),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, command: str) -> list[tuple[str, ...]]:
        """Return the words of every stub that ran, and ``wrote`` for each new file."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(command.encode() + b"\0")
        process.stdin.flush()
        calls: list[tuple[str, ...]] = []
        words: list[str] = []
        word = bytearray()
        while True:
            byte = process.stdout.read(1)
            assert byte, "the sandbox has ended"
            if byte != b"\0":
                word += byte
                continue
            text = word.decode()
            word.clear()
            if text == "\2":
                return calls
            if text == "\1":
                calls.append(tuple(words))
                words.clear()
            else:
                words.append(text)

    def expanded(self, commands: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Return commands with their globs replaced, in order of their words."""
        return sorted(
            tuple(part for word in command for part in self._expand(word))
            for command in commands
        )

    def _expand(self, word: str) -> list[str]:
        found = []
        if isinstance(word, Glob):
            found = sorted(glob.glob(word, root_dir=self._seed), key=str.encode)  # noqa: PTH207 - Path.glob drops "./"
        return found or [str(word)]

    def close(self) -> None:
        """End the sandbox."""
        self._process.kill()
        self._process.communicate()


_PATIENT: Final = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.fixture(scope="module")
def stubbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("stubbed"), real=False)
    yield room
    room.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(tmp_path_factory.mktemp("real"), real=True)
    yield room
    room.close()


# --- the shell's own syntax ----------------------------------------------------------

_SYNTAX: Final = st.sampled_from(
    [
        *"ab '\"$`\\;&|<>(){}[]*?!#~=^%@+:,./_-\n\té019",
        *("$(evil)", "`evil`", "<(evil)", "${x:-$(evil)}", "$'\\x41'", '$"a"'),
        *(
            ";evil",
            "&evil",
            "|evil",
            "&&evil",
            "||evil",
            "\nevil",
            "|&evil",
            "& evil\n",
        ),
        *(">f", "<<E\n$(evil)\nE\n", "<<<x", "2>&1", ">|f", "<>f", "&>f", "{a,b}"),
        *("X=1 ", "PATH=. ", "a=(evil)", "\\\n", "'\\''", '"\\""', "'x y'", '"x y"'),
        *("if a;then evil;fi", "(evil)", "{ evil;}", "f(){ evil;};f", "! ", "time "),
        *(
            "[[ a ]]",
            "((1))",
            "coproc evil",
            "~/",
            "#",
            " #evil",
            "!!",
            "-- ",
            "\u00a0",
        ),
        *(
            "\u2028evil",
            "\u0085evil",
            "\u200b",
            "\v",
            "\f",
            "\r",
            "function a {",
            "case",
        ),
    ]
)
_PLAIN: Final = st.sampled_from(
    [
        *("*", "f*", "./?", "*.c", "./*.c", "--o=*", "-*", ".*", "d/*", "x*", "?'*'"),
        *("2>&1", ">/dev/null", "2> /dev/null", "&>/dev/null", "</dev/null", ">&2"),
        *("1>/dev/nul?", "9>&1", ">&1x", "2>f"),
        *(
            "x",
            "'$ y'",
            '"! é"',
            "a=b",
            "x~^",
            "''",
            '--o="z"',
            "-x",
            "'\n'",
            "'a'\"b\"c",
        ),
    ]
)
_WORD: Final = _PLAIN | st.lists(_SYNTAX, max_size=5).map("".join)
_CALL: Final = st.builds(
    lambda name, words: " ".join([name, *words]),
    st.sampled_from(["a", "b", "'a'", 'b""', "a\t", "evil", "./a", "\\a"]),
    st.lists(_WORD, max_size=3),
)
_LINES: Final = st.builds(
    lambda calls, joins: "".join(
        x for pair in zip(calls, joins, strict=False) for x in pair
    ).rstrip("|&; "),
    st.lists(_CALL, min_size=1, max_size=3),
    st.lists(
        st.sampled_from(
            [";", " && ", "|", "\n", " || ", "\n\n", " ;\n", "|\n", "&&\n"]
        ),
        min_size=3,
        max_size=3,
    ),
)


@settings(max_examples=300, suppress_health_check=_PATIENT)
@given(line=_LINES)
@example(line="a'b' \"x\"y")
@example(line="a a^ b~ %1 +:,")
@example(line="b a=b ''")
@example(line="a x |\nb")
@example(line="a f.? |& b ./*.c 2>&1 >/dev/null")
@example(line="a --x=* 'f'* < /dev/null; b 2")
def test_bash_runs_the_words_that_were_read(line: str, stubbed: Room) -> None:
    if Gate(tools=["Bash"], bash_allow=["a *", "b *"]).refusal_of_command(line):
        return
    seen = stubbed.expanded(ShellReader().read(line).commands)
    ran = sorted(stubbed.run(line))
    assert set(ran) <= set(seen)
    assert {call[0] for call in ran} <= {"a", "b"}
    if "||" not in line:  # what follows that may rightly not run
        assert ran == seen


# --- what programs can be talked into -------------------------------------------------

_GIT: Final = sorted(
    names("""
add blame branch cat-file checkout cherry-pick clean commit diff fsck grep init log
ls-files merge rebase reset restore rev-parse revert show stash status tag switch
bisect submodule difftool mergetool filter-branch config clone fetch pull push
ls-remote archive remote hook help var worktree notes
""")
)
_TRICKS: Final = sorted(
    names(
        """
evil x f g HEAD main -- - . -p -i -e -x -c -C -o -O -u -s -I -F -f -n -1 -m --exec
-c core.pager=evil core.fsmonitor=evil alias.x=!evil --config-env=alias.x=Y
-Oevil -O evil --open-files-in-pager=evil --open=evil --output=out --outp=out -oout
--exec-path=/tmp/stubs --upload-pack=evil --upload=evil --receive-pack=evil ext::evil
--exec=evil -xevil foreach run start --extcmd=evil --tool=evil -t -y --no-prompt
--strategy=evil -sevil --ext-diff --textconv --git-dir=.git --work-tree=d --no-index
-exec -execdir -ok {} ; + -delete -fprintf -fprint out -fls -files0-from -quit
--compress-program=evil --compress=evil -S1 -T d -oout --to-command=evil --to=evil
--checkpoint=1 --checkpoint-action=exec=evil --use-compress-program=evil -Ievil
--rsh-command=evil -xf -xOf xIf cIf t.tar -cf out.tar --info-script=evil -M -L1
--filter=evil -l1 -b1 --eval=x:;evil -fMakefile SHELL=evil MAKEFLAGS=x --file=x
-E p 1p 1,5d s/o/evil/ s/.*/evil/e 1e 1e\\ evil e w\\ out s/o/x/w\\ out -n -ne -i
--expression=e --in-place -i.bak --file=f /o/p $p 1!d s/[/]/x/ BEGIN{system("evil")}
-v x=1 5 0.1 -k -P -0 --max-procs=1 -a f --arg-file=f -T --unzip-command=evil
-TT out.zip --strip-program=evil --pre=evil --set -R --edit --edit-description
user.name core.pager core.sshCommand core.fsmonitor --get --add --global -o.bashrc
.bashrc .git .git/config .npmrc .gitconfig -S rc --suffix=rc .bash -d.git -d .git -r
-wrapper -B. -specs=f -Wl,-Map,out run x --script-shell=evil exec --output out.txt -K
-w %output{out} file:///etc/hostname rand
-out dgst -engine -config of=out if=f of=.bashrc
""".replace("\\ ", "\0")
    )
)
_ARGUMENT: Final = st.sampled_from([t.replace("\0", " ") for t in _TRICKS])
_JOINED: Final = st.builds("{}{}".format, _ARGUMENT, _ARGUMENT)
_TOOLS: Final = sorted(
    names("""
    find sort tar sed awk gawk mawk perl python3 env timeout xargs nice nohup stdbuf
    bash sh split make zip install diff grep head tail cut uniq setsid time command
    exec eval watch shuf date printf cat ls xxd tee iconv gzip unzip patch file curl
    gcc openssl npm truncate dd csplit tree jq uuencode comm paste
    """)
)
_PROGRAM: Final = st.sampled_from(
    [(tool,) for tool in _TOOLS] + [("git", command) for command in _GIT] * 2
)
_REAL: Final = st.builds(
    lambda program, words: (program, words),
    _PROGRAM,
    st.lists(_ARGUMENT | _JOINED, max_size=5),
)
_OPEN: Final = Gate(
    tools=["Bash"],
    bash_allow=[*(f"{tool} *" for tool in _TOOLS), "git *", "git -C . *"]
    + [f"git {command} *" for command in _GIT],
)
_MAKES_FILES: Final = names(
    "tar split zip install git tee gzip unzip patch gcc npm truncate dd csplit"
)
"""Programs whose plain use writes files in the working directory."""


@settings(max_examples=400, suppress_health_check=_PATIENT)
@given(case=_REAL)
@example(case=(("tar",), ["xIf", "evil", "t.tar"]))
@example(case=(("git", "submodule"), ["foreach", "evil"]))
@example(case=(("git", "config"), ["core.fsmonitor", "evil"]))
@example(case=(("sed",), ["s/o/x/w out", "f"]))
@example(case=(("split",), ["--filter=evil", "f"]))
@example(case=(("uniq",), ["--", "f", "-out"]))
@example(case=(("xxd",), ["f", "--"]))
@example(case=(("xxd",), ["f", "--add"]))
def test_programs_run_no_other(
    case: tuple[tuple[str, ...], list[str]], real: Room
) -> None:
    program, words = case
    line = " ".join([*program, *map(_quoted, words)])
    if _OPEN.refusal_of_command(line) is not None:
        return
    done = real.run(f"{line}; git status")
    assert [call for call in done if call[0] != "wrote"] == []
    if program[0] not in _MAKES_FILES:
        assert done == []


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "") + "'"
