"""Start-up files, through which a later command runs unseen code, and their names.

Shells, git, package managers and others read these automatically. Anyone who can write
one decides what every later command runs, so a wildcard may not name one for writing. A
project's own files (its Makefile, package.json, conftest.py) are not among them: they
are code, and an agent that works on a project writes its code.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from pyglue.bash_policy.words import names

_RUN: Final = names(
    """
    .bash_aliases .bash_login .bash_logout .bash_profile .bashrc .envrc .gitconfig
    .profile .zlogin .zlogout .zprofile .zshenv .zshrc
    """
)
"""Files that the CLI's own shell, or git, runs before anything that the gate checks."""

_FILES: Final = _RUN | names(
    """
    .Renviron .Rprofile .ackrc .ansible.cfg .bash_completion .bash_history .byebugrc
    .clisprc .colordiffrc .condarc .cshrc .ctags .curlrc .direnvrc .emacs .exrc
    .gdbinit .gemrc .ghci .gvimrc .hgrc .inputrc .irbrc .kshrc .latexmkrc .lesskey
    .lftprc .lldbinit .login .mailcap .mailrc .mise.toml .my.cnf .mylogin.cnf .nanorc
    .netrc .npmrc .ocamlinit .octaverc .pam_environment .pdbrc .perltidyrc .procmailrc
    .proverc .pryrc .psqlrc .pydistutils.cfg .pypirc .pythonrc .rsyncrc .sbclinit
    .screenrc .sqliterc .tcshrc .terraformrc .tigrc .tmux.conf .tofurc .tool-versions
    .vimrc .wgetrc .xinitrc .xprofile .xsession .xsessionrc .yarnrc .yarnrc.yml _netrc
    authorized_keys rsyncd.conf sitecustomize.py usercustomize.py
    """
)
_FOLDERS: Final = names(
    """
    .ansible .asdf .aws .azure .boot .bun .bundle .bzr .cabal .cargo .composer .config
    .coursier .ctags.d .deno .direnv .docker .emacs.d .gem .ghcup .git .gnupg .gradle
    .groovy .helm .hg .ipython .ivy2 .jj .krew .kube .lein .lftp .local .m2 .mozilla
    .nix-defexpr .node_libraries .node_modules .npm .nvm .opam .pip .pki .pnpm-store
    .pyenv .rbenv .rustup .rvm .sbt .sdkman .ssh .stack .subversion .terraform.d .vim
    .volta
    """
)
_GIT_RUNS: Final = frozenset({"config", "config.worktree", "hooks", "commondir"})


def runs_at_startup(word: str) -> bool:
    """Return whether any program should keep its hands off this argument."""
    return any(_is_run(path) for path in _paths(word))


def must_not_be_written(word: str) -> bool:
    """Return whether this argument names a start-up file, or a directory of them."""
    return any(_is_run(path) or _is_configuration(path) for path in _paths(word))


def goes_up(word: str) -> bool:
    """Return whether this argument is, or holds, a path with ``..`` in it."""
    return ".." in word and any(".." in path.parts for path in _paths(word))


def _paths(word: str) -> Iterator[PurePosixPath]:
    """Yield the paths that an argument may be, or hold as an option's value."""
    yield PurePosixPath(word)
    if "=" in word:
        yield PurePosixPath(word.partition("=")[2])
        yield PurePosixPath(word.rpartition("=")[2])
    if ":" in word:
        yield PurePosixPath(word.rpartition(":")[2])
    if word.startswith("-") and not word.startswith("--"):
        for begin in range(2, min(len(word), 12)):
            yield PurePosixPath(word[begin:])


def _is_run(path: PurePosixPath) -> bool:
    in_git = any(
        one == ".git" and then in _GIT_RUNS for one, then in pairwise(path.parts)
    )
    return in_git or path.name in _RUN


def _is_configuration(path: PurePosixPath) -> bool:
    parts = path.parts
    return (
        path.name in _FILES
        or path.name.endswith(".pth")
        or not _FOLDERS.isdisjoint(parts)
        or parts[-2:] == ("git", "config")
        or parts[:2] == ("/", "proc")
    )
