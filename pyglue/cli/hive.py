"""``hive``: everything the dashboard offers, and starting a local hive.

Every command takes ``--json``. Exit code 1: the request was refused, with the reason on
stderr (on stdout as an object with ``--json``); 2: usage error. Control characters in
text that agents wrote are made visible.
"""

import argparse
import difflib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pyglue import __version__, startup
from pyglue.cli.commands import (
    audit,
    completion,
    logs,
    manifest,
    rebuild,
    restore,
    shell,
)
from pyglue.cli.commands.command import Command
from pyglue.cli.commands.command import run as call_hived
from pyglue.cli.commands.registry import COMMANDS
from pyglue.cli.local import demo, run
from pyglue.cli.words import check_utf8, fill_texts
from pyglue.errors import HiveError
from pyglue.process import need_open_files
from pyglue.text.display import visible

_DEFAULT_STATE: Final = ".hive"
_SOCKET: Final = "/run/hyperhive/operator.sock"
_LINE_MAX: Final = 2000
_NO_COMMAND: Final = (
    "no command. Start a hive on this machine with `hive run`, see it work with "
    "`hive demo`, show a running one with `hive status`, or list all commands with "
    "`hive --help`"
)


def _socket(arguments: argparse.Namespace) -> Path:
    """Return the operator's socket: as given, the local hive's, or the system's."""
    if arguments.socket is not None:
        return Path(arguments.socket)
    local = _state(arguments) / "run" / "operator.sock"
    return local if local.exists() or not Path(_SOCKET).exists() else Path(_SOCKET)


def _state(arguments: argparse.Namespace) -> Path:
    return Path(arguments.state or os.environ.get("HIVE_STATE") or _DEFAULT_STATE)


def _common(**defaults: Any) -> argparse.ArgumentParser:  # noqa: ANN401
    """Return the options that are accepted before or after the command."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--json", action="store_true", help="print a JSON object", **defaults
    )
    common.add_argument(
        "--state", help="state directory (default: $HIVE_STATE, else .hive)", **defaults
    )
    common.add_argument("--socket", help="path of hived's operator socket", **defaults)
    return common


class _Parser(argparse.ArgumentParser):
    """Names the unknown option or command, and the one that was probably meant."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """Refuse an unknown option before the command: its value is no command."""
        given = sys.argv[1:] if args is None else list(args)
        options = self._option_string_actions
        at = 0
        while at < len(given) and given[at].startswith("--") and given[at] != "--":
            name, sign, _ = given[at].partition("=")
            known = [o for o in options if o == name or o.startswith(name)]
            if not known:
                self.error(f"unknown option {name[:80]}{_meant(name, list(options))}")
            takes = options[known[0]].nargs is None
            at += 2 if takes and not sign else 1
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401
        if action.dest == "command" and value not in (action.choices or ()):
            known = list(action.choices or ())
            self.error(
                f"there is no command {str(value)[:80]!a}"
                f"{_meant(str(value), known) or '.'} `hive --help` lists all"
            )
        super()._check_value(action, value)


def _meant(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word[:80], known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    common = _common(default=argparse.SUPPRESS)  # keeps options before the command
    parser = _Parser(
        prog="hive",
        description="Everything the dashboard offers, over hived's socket.",
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(call=lambda _: parser.error(_NO_COMMAND))
    subcommands = parser.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=argparse.ArgumentParser
    )

    def add(name: str, about: str) -> argparse.ArgumentParser:
        return subcommands.add_parser(
            name, help=about, description=about, parents=[common]
        )

    running = add("run", "start a local hive in the foreground")
    run.add_arguments(running)
    running.set_defaults(call=lambda arguments: run.run(_state(arguments), arguments))
    playing = add(
        "demo",
        "run the demo without a browser; succeeds only if the agent actually answers",
    )
    demo.add_arguments(playing)
    playing.set_defaults(call=demo.run)
    printing = add("manifest", "evaluate an agent's directory and print its manifest")
    manifest.add_arguments(printing)
    printing.set_defaults(call=manifest.run)
    reading = add("logs", "print the log of an agent, or of hived")
    logs.add_arguments(reading)
    reading.set_defaults(call=lambda arguments: logs.run(_socket(arguments), arguments))
    typing = add("shell", "open a terminal in an agent's container")
    shell.add_arguments(typing)
    typing.set_defaults(call=lambda arguments: shell.run(_socket(arguments), arguments))
    auditing = add("audit", "verify or export the audit log")
    audit.add_arguments(auditing)
    auditing.set_defaults(call=lambda options: audit.run(_socket(options), options))
    restoring = add("restore-backup", "create a state directory from a backup")
    restore.restore_arguments(restoring)
    restoring.set_defaults(call=restore.restore_backup)
    completing = add("completion", "print the completion of a shell")
    completion.add_arguments(completing)
    completing.set_defaults(call=completion.run)
    for command in COMMANDS:
        sub = add(command.name, command.about)
        command.declare(sub)
        sub.set_defaults(call=_remote(command))
        if command.name == "doctor":
            sub.set_defaults(call=_doctor(command))
    return parser


def _remote(command: Command) -> Callable[[argparse.Namespace], int]:
    return lambda arguments: call_hived(command, _socket(arguments), arguments)


def _doctor(command: Command) -> Callable[[argparse.Namespace], int]:
    """Ask hived, or rebuild a store with which it does not start."""

    def call(arguments: argparse.Namespace) -> int:
        if not arguments.from_git:
            return _remote(command)(arguments)
        named = bool(arguments.state or os.environ.get("HIVE_STATE"))
        state = rebuild.state_of(_state(arguments), named=named)
        return rebuild.rebuild(state, arguments)

    return call


def _tell(error: HiveError, *, as_json: bool) -> None:
    """Print an error; with ``--json`` as an object on stdout."""
    if as_json:
        problem = {"error": {"code": error.code.value, "message": error.message}}
        sys.stdout.write(msgspec.json.encode(problem).decode() + "\n")
    else:
        lines = error.message.split("\n")
        text = "\n".join(visible(line, limit=_LINE_MAX) for line in lines)
        sys.stderr.write(f"hive: {text}\n")


def main() -> None:
    """Run one command and exit."""
    startup.done()
    as_json = "--json" in sys.argv
    try:
        check_utf8(sys.argv[1:])
        arguments = build_parser().parse_args()
        as_json = arguments.json
        need_open_files()
        fill_texts(arguments)
        code = arguments.call(arguments)
        sys.stdout.flush()
    except HiveError as error:
        _tell(error, as_json=as_json)
        code = 1
    except BrokenPipeError:
        code = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk behind stdout, for one
        what = error.filename or "The output"
        sys.stderr.write(f"hive: cannot read or write {what}: {error.strerror}.\n")
        code = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as interrupt:
        if interrupt.args:  # what continues without us
            sys.stderr.write(f"hive: interrupted. {interrupt}\n")
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
