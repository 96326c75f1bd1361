"""What git's own options and subcommands can be made to do, for ``special``."""

from collections.abc import Sequence
from typing import Final

from pyglue.bash_policy import options, say
from pyglue.bash_policy.match import Match
from pyglue.bash_policy.table import Words, basename
from pyglue.bash_policy.words import names


def _words(text: str) -> Words:
    return Words.parse(text, style="gnu")


_REFUSED: Final = _words(
    """
    --config --config-env --exec --exec-path --ext-diff --git-dir --no-index
    --open-files-in-pager --output --output-directory --receive-pack --separate-git-dir
    --strategy --template --upload-pack --work-tree -c -O -o -x
    """
)
_REFUSED_OF: Final = {
    "am": _words("--directory --patch-format"),
    "apply": _words("--unsafe-paths --directory --build-fake-ancestor"),
    "checkout-index": _words("--prefix --temp"),
    "clone": _words("-u"),
    "fast-export": _words("--export-marks --import-marks"),
    "format-patch": _words("--signature-file"),
    "read-tree": _words("--index-output --prefix"),
    "update-index": _words("--fsmonitor --cacheinfo"),
    **dict.fromkeys(("merge", "cherry-pick", "revert", "rebase", "pull"), _words("-s")),
}
WITH_VALUE: Final = names(
    """
    -C -c --config-env --git-dir --work-tree --namespace --attr-source
    """
)
EVERYDAY: Final = names(
    """
    add blame branch cat-file check-ignore checkout cherry cherry-pick clean commit
    count-objects describe diff diff-tree for-each-ref fsck grep init log ls-files
    ls-tree merge merge-base mv name-rev range-diff reflog reset restore rev-list
    rebase rev-parse revert rm shortlog show show-ref stash status switch tag
    whatchanged
    """
)
_REMOTE: Final = names("archive clone fetch ls-remote pull push remote submodule")
_RUNNERS: Final = names(
    """
    bisect credential daemon difftool fast-import filter-branch filter-repo
    for-each-repo help hook http-backend imap-send instaweb maintenance mergetool p4
    receive-pack remote-ext remote-fd request-pull send-email send-pack shell svn
    upload-archive upload-pack web--browse gui gitk citool cvsserver cvsimport
    archimport quiltimport credential-store credential-cache backfill scalar
    rebase--interactive merge-index
    """
)
"""Subcommands that run what their arguments or the configuration name."""
_SAFE_SECTIONS: Final = names("author advice color column committer log user")
"""Sections of the configuration that name no program and no file."""
_SAFE_KEYS: Final = frozenset({"init.defaultbranch"})
_CONFIG_OPTIONS: Final = names(
    """
    --add --all --append --bool --get --get-all --get-regexp --global --int --list
    --local --name-only --null --replace-all --show-origin --show-scope --system
    --unset --unset-all --worktree -l -z
    """
)
"""Options of ``git config`` that take no value, so that the key is the next word."""


def judge(match: Match, _begin: int) -> str | None:
    """Return why a git command is refused."""
    words, literal = match.words, match.literal
    called = basename(words[0])
    if called.startswith("git-"):
        split = Match(("git", called[4:], *words[1:]), (literal[0], *literal))
        return judge(split, 1)
    at = subcommand_at(words)
    for i in range(1, at):
        is_value = not words[i].startswith("-")
        if not literal[i] and not (is_value and words[i - 1] == "-C"):
            if is_value:
                return say.argument(words[i], f"is the value of {words[i - 1]!a}")
            return say.named(words[i])
    if at == len(words):
        return None
    command = words[at]
    if not literal[at] and command not in EVERYDAY:
        return say.subcommand("git", command)
    if command in _RUNNERS and not all(literal):
        return say.runs_others(f"git {command}")
    return _command(command, match, at + 1)


def is_refused(word: str) -> bool:
    """Return whether an option is kept from wildcards with every subcommand."""
    return options.is_listed(word, _REFUSED)


def subcommand_at(words: Sequence[str]) -> int:
    """Return the index of git's subcommand; the end if there is none."""
    at = 1
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in WITH_VALUE else 1
    return min(at, len(words))


def _command(command: str, match: Match, begin: int) -> str | None:
    """Check the arguments of git's ``command``."""
    words, literal = match.words, match.literal
    if command in _REMOTE:
        for i in range(begin, len(words)):
            if not literal[i] and "::" in words[i]:
                return f"{words[i][:60]!a} could name a program for git to run"
            if not literal[i] and words[i] == "foreach":
                return say.runs_others(f"git {command} foreach")
    if command == "config":
        refused = _config(match, begin)
        if refused is not None:
            return refused
    for i in range(begin, len(words)):
        if literal[i]:
            continue
        own = _REFUSED_OF.get(command)
        if is_refused(words[i]) or (
            own is not None and options.is_listed(words[i], own)
        ):
            return say.named(words[i])
    return None


def _config(match: Match, begin: int) -> str | None:
    """Many keys name programs: only those that cannot may come from a wildcard."""
    words, literal = match.words, match.literal
    for i in range(begin, len(words)):
        word = words[i]
        if word.startswith("-"):
            if not literal[i] and word not in _CONFIG_OPTIONS:
                return say.named(word)
        elif "." in word:
            section = word.partition(".")[0].lower()
            is_safe = section in _SAFE_SECTIONS or word.lower() in _SAFE_KEYS
            if not literal[i] and not is_safe:
                return f"the key {word[:60]!a} must be named by a pattern to be used"
            return None
    for i in range(begin, len(words)):
        if not literal[i] and words[i] in ("edit", "rename-section"):
            return say.named(words[i])
    return None
