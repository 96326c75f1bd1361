"""What is known of programs that run other programs, or write where they are told.

Tables only, for ``risky``. A program that is not named here is taken for what its
pattern says; one that can be talked into running another is named, with the options
or arguments that do it. Nobody can list all programs: the container is the boundary.
"""

from dataclasses import dataclass
from typing import Final


def names(text: str) -> frozenset[str]:
    """Return the words of ``text``."""
    return frozenset(text.split())


WRAPPERS: Final = names(
    """
    . alias apptainer ash at batch bash bg bind builtin bunx busybox bwrap byobu cc-run
    cgexec chpst chroot chrt command compgen complete coproc crontab csh cu dash
    dbus-launch dbus-run-session dc debugfs declare disown doas docker dpkg-reconfigure
    dtach dumb-init ed elvish emacs emacsclient enable entr env eval ex exec expect
    export fakechroot fakeroot faketime fc fg firejail fish flatpak flock fzf gdb
    gdbserver getopts gosu hash history ionice jobs joe jshell ksh ksh93 less let
    linux32 linux64 lldb local logout logrotate ltrace lxc-execute m4 machinectl man
    mapfile mc mksh more most mysql nano nc ncat netcat nice nix-shell nohup npx nsenter
    numactl nvim parallel perf pipx podman posh prlimit proot pry psql read readarray
    readonly rksh rlwrap rnano rsh run-parts runcon runuser rview rvim rzsh s6-setuidgid
    scp screen script sem set setarch setlock setpriv setsid setuidgid sftp sg sh shopt
    sleep-run slogin snap socat softlimit source sqlite sqlite3 ssh sshpass
    start-stop-daemon stdbuf strace su su-exec sudo sudoedit systemctl systemd-nspawn
    systemd-run taskset tclsh tcsh telnet time timeout tini tmux top toybox trap typeset
    uftrace unalias unbuffer unset unshare uvx valgrind vi view vim vimdiff vipw visudo
    w3m wait watch wish xargs xterm xvfb-run yash zsh
    """
)
"""Programs and builtins that run another command, or change what a later one means."""

INTERPRETERS: Final = names(
    """
    awk bun clisp deno elixir erl escript gawk gjs groovy guile java js julia lua luajit
    mawk nawk node nodejs ocaml octave original-awk perl php pwsh pypy python qjs
    racket R raku Rscript ruby runghc sbcl scala swipl tclsh wish
    """
)
"""Programs whose first plain argument is code, or a file of it."""

RESERVED: Final = names(
    "! [[ ]] { } if then else elif fi case esac for select while until do done in "
    "function"
)
"""Words with which no simple command begins."""


@dataclass(frozen=True)
class Options:
    """Options of one program that a wildcard must not match."""

    long: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()


def _options(long: str = "", short: str = "", exact: str = "") -> Options:
    return Options(names(long), frozenset(short), names(exact))


OPTIONS: Final = {
    "curl": _options(
        "config cookie-jar dump-header etag-save libcurl output output-dir remote-name "
        "remote-name-all stderr trace trace-ascii engine netrc-file",
        "cDKoOJ",
    ),
    "date": _options("set", "s"),
    "fd": _options("exec exec-batch", "xX"),
    "fdfind": _options("exec exec-batch", "xX"),
    "find": _options(
        exact="-exec -execdir -ok -okdir -delete -fprint -fprint0 -fprintf -fls"
    ),
    "install": _options("strip-program", "s"),
    "make": _options(
        "eval file makefile directory include-dir environment-overrides", "fCEeI"
    ),
    "printf": _options(exact="-v"),
    "rg": _options("pre hostname-bin"),
    "rsync": _options(
        "rsh rsync-path remote-option daemon config log-file write-batch "
        "only-write-batch",
        "eM",
    ),
    "shuf": _options("output", "o"),
    "sort": _options("output compress-program temporary-directory", "oT"),
    "split": _options("filter"),
    "tar": _options(
        "to-command checkpoint-action use-compress-program rsh-command info-script "
        "new-volume-script absolute-names rmt-command index-file",
        "FIP",
    ),
    "tree": _options("output", "oR"),
    "wget": _options(
        "append-output config directory-prefix execute hsts-file input-file "
        "load-cookies output-document output-file save-cookies use-askpass warc-file",
        "OoaPei",
    ),
    "zip": _options("unzip-command", "TO"),
}
for _alias, _known in {
    "bsdtar": "tar",
    "gfind": "find",
    "gmake": "make",
    "gsort": "sort",
    "gtar": "tar",
}.items():
    OPTIONS[_alias] = OPTIONS[_known]

GIT: Final = _options(
    "config config-env exec exec-path ext-diff git-dir no-index open-files-in-pager "
    "output output-directory receive-pack separate-git-dir strategy template "
    "upload-pack work-tree",
    "cOox",
)
GIT_CLONE: Final = _options(short="u")
GIT_CONFIG: Final = _options("file blob edit", "fe")
GIT_MERGE: Final = _options(short="s")

GIT_WITH_VALUE: Final = names(
    "-C -c --config-env --git-dir --work-tree --namespace --attr-source"
)
GIT_EVERYDAY: Final = names(
    """
    add blame branch cat-file check-ignore checkout cherry cherry-pick clean commit
    count-objects describe diff diff-tree for-each-ref fsck grep init log ls-files
    ls-tree merge merge-base mv name-rev range-diff reflog reset restore rev-list
    rev-parse revert rm shortlog show show-ref stash status switch tag whatchanged
    """
)
GIT_REMOTE: Final = names("archive clone fetch ls-remote pull push remote submodule")
GIT_RUNNERS: Final = names(
    """
    bisect credential daemon difftool fast-import filter-branch for-each-repo help hook
    http-backend imap-send instaweb maintenance mergetool p4 receive-pack remote-ext
    remote-fd request-pull send-email send-pack shell svn upload-archive upload-pack
    web--browse
    """
)
"""Subcommands that run what their arguments or the configuration name."""
GIT_SAFE_SECTIONS: Final = names("author advice color column committer init log user")
"""Sections of the configuration that name no program and no file."""

NIX_SAFE: Final = names("--json --xml --strict --show-trace -")
NIX_RUNNERS: Final = names("run shell develop repl fmt bundle env edit")
