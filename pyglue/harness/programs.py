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
    . aarch64 alias apptainer arch-chroot ash at bash batch bg bind builtin bunx busybox
    bwrap byobu capsh catchsegv cc-run ccache cgexec choom chpst chronic chroot chrt
    command compgen complete coproc coresched crontab csh cu dash dbus-launch
    dbus-run-session dc debugfs declare direnv disown distcc doas docker
    dpkg-reconfigure dtach duckdb dumb-init ed edit editor elvish emacs emacsclient
    enable enosys entr env eval ex exec expect export fakechroot fakeroot faketime fc fg
    firejail fish flatpak flock ftp fzf gdb gdbserver getopts gosu hash history
    hyperfine i386 i486 i586 i686 ifne ionice jobs joe jshell ksh ksh93 less let lftp
    linux32 linux64 lldb local logout logrotate ltrace lxc-execute m4 machinectl man
    mapfile mc mksh more most mysql nano nc ncat netcat nice nix-shell nohup npx nsenter
    numactl nvim pager parallel pee perf pico pipx pkexec podman posh prlimit proot pry
    psql read readarray readonly rksh rlwrap rnano rr rsh run-mailcap run-parts runcon
    runuser rview rvim rzsh s6-setuidgid sccache scp screen script see select-editor sem
    sensible-browser sensible-editor sensible-pager set setarch setlock setpriv setsid
    setuidgid sftp sg sh shopt sleep-run slogin snap socat softlimit source sqlite
    sqlite3 ssh sshpass start-stop-daemon stdbuf strace su su-exec sudo sudoedit
    systemctl systemd-nspawn systemd-run taskset tclsh tcsh telnet time timeout tini
    tmux top toybox trap typeset uclampset uftrace unalias uname26 unbuffer unset
    unshare uvx valgrind vi view vim vimdiff vipe vipw visudo w3m wait watch watchexec
    wish x86_64 xargs xdg-open xterm xvfb-run yash zsh
    """
)
"""Programs and builtins that run another command, or change what a later one means."""

INTERPRETERS: Final = names(
    """
    awk bun clisp clj clojure crystal dart deno dotnet elixir erl escript gawk ghci gjs
    gnuplot groovy guile iex ipython irb java jruby js julia jython kotlin lua luajit
    mawk nawk nim node nodejs ocaml octave original-awk perl php pwsh pypy python qjs R
    racket raku Rscript ruby runghc runhaskell sbcl scala swift swipl tclsh ts-node tsx
    wish
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
    """Options of one program that a wildcard must not match.

    ``begins`` are whole beginnings of words, for programs whose long options have one
    dash, or whose values may follow at once.
    """

    long: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    begins: tuple[str, ...] = ()


def _options(
    long: str = "", short: str = "", exact: str = "", begins: str = ""
) -> Options:
    return Options(
        names(long), frozenset(short), names(exact), tuple(sorted(names(begins)))
    )


OPTIONS: Final = {
    "ack": _options("pager ackrc"),
    "ag": _options("pager"),
    "bat": _options("pager"),
    "cargo": _options("config"),
    "cpio": _options("rsh-command", "F"),
    "ctags": _options("options options-maybe", begins="-o -f"),
    "curl": _options(
        "alt-svc config cookie-jar dump-header engine etag-save hsts libcurl "
        "netrc-file output output-dir remote-name remote-name-all stderr trace "
        "trace-ascii write-out",
        "cDKoOJw",
    ),
    "date": _options("set", "s"),
    "delta": _options("pager"),
    "fd": _options("exec exec-batch", "xX"),
    "fdfind": _options("exec exec-batch", "xX"),
    "find": _options(
        exact="-exec -execdir -ok -okdir -delete -fprint -fprint0 -fprintf -fls"
    ),
    "gcc": _options(
        "specs wrapper", begins="-B -fplugin -iplugindir -specs -wrapper @"
    ),
    "go": _options("exec toolexec vettool", begins="-exec -toolexec -vettool"),
    "hg": _options("config config-file"),
    "install": _options("strip-program", "s"),
    "make": _options(
        "eval file makefile directory include-dir environment-overrides", "fCEeI"
    ),
    "nm": _options("plugin"),
    "openssl": _options("engine provider provider-path", begins="-engine -provider"),
    "pandoc": _options("defaults extract-media filter lua-filter pdf-engine", "dFLo"),
    "pdflatex": _options(
        "enable-write18 shell-escape", begins="-enable-write18 -shell-escape"
    ),
    "printf": _options(begins="-v"),
    "rg": _options("pre hostname-bin"),
    "rsync": _options(
        "rsh rsync-path remote-option daemon config log-file write-batch "
        "only-write-batch",
        "eM",
    ),
    "shuf": _options("output", "o"),
    "sort": _options("output compress-program temporary-directory", "oT"),
    "split": _options("filter"),
    "svn": _options("config-dir config-option diff-cmd diff3-cmd editor-cmd"),
    "tar": _options(
        "files-from to-command checkpoint-action use-compress-program rsh-command "
        "info-script new-volume-script absolute-names rmt-command index-file",
        "FIPT",
    ),
    "tcpdump": _options(short="zw"),
    "tree": _options("output", "oR"),
    "wget": _options(
        "append-output config directory-prefix execute hsts-file input-file "
        "load-cookies output-document output-file rejected-log save-cookies "
        "use-askpass warc-file",
        "OoaPei",
    ),
    "zip": _options("unzip-command", "TO"),
}
for _alias, _known in {
    "batcat": "bat",
    "bsdtar": "tar",
    "c++": "gcc",
    "cc": "gcc",
    "clang": "gcc",
    "clang++": "gcc",
    "g++": "gcc",
    "gfind": "find",
    "gmake": "make",
    "gsort": "sort",
    "gtar": "tar",
    "latex": "pdflatex",
    "lualatex": "pdflatex",
    "objdump": "nm",
    "xelatex": "pdflatex",
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

TESTS: Final = names("test [")
"""They look up a variable, and evaluate the subscript that its name may have."""
TESTS_OF_NAMES: Final = names("-v -R")

STARTUP_FILES: Final = names(
    """
    .bash_aliases .bash_login .bash_logout .bash_profile .bashrc .envrc .gitconfig
    .profile .zlogin .zprofile .zshenv .zshrc
    """
)
"""What the CLI's own shell, or git, runs before anything that the gate has seen."""
