"""Programs and options that a wildcard of the Bash gate never lets through.

A pattern such as ``git *`` is meant for git's everyday use; taken by the letter it
would also run any program (``git -c alias.x='!sh' x``, ``--upload-pack=…``) or write
any file (``--output=…``). So words matched by a wildcard may not be one of these;
who wants one writes it out in a pattern. GNU and git options may be abbreviated,
which is why prefixes count. Called by ``gate`` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRAPPERS: Final = _names(
    """
    . alias ash at bash batch bg bind builtin busybox bwrap chroot chrt command complete
    coproc crontab csh dash declare disown doas enable env eval exec export fc fg
    firejail fish flock gdb getopts hash history ionice jobs ksh let local logout
    ltrace mapfile nice nohup nsenter parallel read readarray readonly rksh runuser
    script set setpriv setsid sh shopt source ssh start-stop-daemon stdbuf strace su
    sudo systemd-run taskset tcsh time timeout toybox trap typeset unalias unbuffer
    unset unshare wait watch xargs zsh
    """
)
"""Programs and builtins that run another command or change what a later one means."""

RESERVED: Final = _names(
    "! [[ ]] { } if then else elif fi case esac for select while until do done in "
    "function"
)
"""Words with which no simple command begins."""


@dataclass(frozen=True)
class _Options:
    """Options of one program that a wildcard must not match."""

    long: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()


def _options(long: str = "", short: str = "", exact: str = "") -> _Options:
    return _Options(frozenset(long.split()), frozenset(short), frozenset(exact.split()))


_GIT: Final = _options(
    "config config-env exec exec-path ext-diff git-dir no-index open-files-in-pager "
    "output output-directory receive-pack separate-git-dir template upload-pack "
    "work-tree",
    "cOox",
)
_GIT_CLONE: Final = _options(short="u")
_OTHERS: Final = {
    "find": _options(
        exact="-exec -execdir -ok -okdir -delete -fprint -fprint0 -fprintf -fls"
    ),
    "printf": _options(exact="-v"),
    "rg": _options("pre hostname-bin"),
    "rsync": _options("rsh rsync-path", "eM"),
    "sort": _options("output compress-program temporary-directory", "oT"),
    "tar": _options(
        "to-command checkpoint-action use-compress-program rsh-command info-script "
        "new-volume-script absolute-names",
        "FIP",
    ),
}
_NIX_SAFE: Final = frozenset({"--json", "--xml", "--strict", "--show-trace", "-"})

_GIT_WITH_VALUE: Final = _names(
    "-C -c --config-env --git-dir --work-tree --namespace --attr-source"
)
_GIT_EVERYDAY: Final = _names(
    """
    add blame branch cat-file check-ignore checkout cherry cherry-pick clean commit
    count-objects describe diff diff-tree for-each-ref fsck grep init log ls-files
    ls-tree merge merge-base mv name-rev range-diff reflog reset restore rev-list
    rev-parse revert rm shortlog show show-ref stash status switch tag whatchanged
    """
)
_GIT_REMOTE: Final = _names("archive clone fetch ls-remote pull push remote submodule")


def problem(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    """Say why these words are refused although a pattern matches; None if not.

    ``literal[i]`` tells that the pattern names ``words[i]`` without a wildcard; it is
    longer than ``words`` when the pattern is open at its end.
    """
    name = PurePosixPath(words[0]).name
    if words[0] in RESERVED:
        return f"{words[0]!a} is shell syntax"
    if name in WRAPPERS and not all(literal):
        return (
            f"{name!a} runs other commands or changes what they mean, so it needs a "
            "pattern without '*'"
        )
    if name == "git":
        return _git(words, literal)
    if name == "nix" or name.startswith("nix-"):
        return _nix(words, literal)
    if name in _OTHERS:
        return _rest(words, literal, 1, _OTHERS[name])
    return None


def _git(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if not literal[at]:
            return _named(words[at])
        takes_value = words[at] in _GIT_WITH_VALUE
        is_directory = words[at] == "-C"
        at += 1
        if takes_value and at < len(words):
            if not literal[at] and not is_directory:
                return _named(words[at])
            at += 1
    if at >= len(words):
        return None
    if not literal[at] and words[at] not in _GIT_EVERYDAY:
        return f"'git {words[at][:40]}' is not one of git's everyday commands"
    if words[at] in _GIT_REMOTE:
        for i in range(at + 1, len(words)):
            if not literal[i] and "::" in words[i]:
                return f"{words[i][:60]!a} could name a program for git to run"
    if words[at] == "clone":
        refused = _rest(words, literal, at + 1, _GIT_CLONE)
        if refused:
            return refused
    return _rest(words, literal, at + 1, _GIT)


def _nix(words: Sequence[str], literal: Sequence[bool]) -> str | None:
    for i in range(1, len(words)):
        if not literal[i] and words[i].startswith("-") and words[i] not in _NIX_SAFE:
            return _named(words[i])
    return None


def _rest(
    words: Sequence[str], literal: Sequence[bool], begin: int, options: _Options
) -> str | None:
    for i in range(begin, len(words)):
        if not literal[i] and _is_risky(words[i], options):
            return _named(words[i])
    return None


def _is_risky(word: str, options: _Options) -> bool:
    if word in options.exact:
        return True
    if word.startswith("--"):
        name = word[2:].partition("=")[0]
        return bool(name) and any(full.startswith(name) for full in options.long)
    if word.startswith("-"):
        return any(letter in options.short for letter in word[1:])
    return False


def _named(word: str) -> str:
    shown = word.partition("=")[0][:40]
    hint = ""
    if len(word) > 2 and not word.startswith("--"):
        hint = " (write short options and their values as separate words)"
    return f"the option {shown!a} must be named by a pattern to be used{hint}"
