"""The texts of the stand-in for ``nixos-container``: its flags and exits.

The real one is a Perl script: where it dies, its exit code is the number of the last
error of any system call, if there was one, or else that of the last program, or 255.
"""

import argparse
import re
import sys
from argparse import Namespace
from typing import Any, Final, NoReturn

PASSED: Final = {
    **dict.fromkeys(("log-format", "update-input"), 1),
    **dict.fromkeys(("option", "override-input"), 2),
    **dict.fromkeys(("impure", "commit-lock-file", "no-registries"), 0),
    **dict.fromkeys(("no-update-lock-file", "no-write-lock-file"), 0),
    **dict.fromkeys(("no-allow-dirty", "recreate-lock-file"), 0),
}
"""Flags for Nix, with how many words each takes."""
ACTIONS: Final = (
    *("create", "destroy", "list", "login", "restart", "root-login", "run"),
    *("show-host-key", "show-ip", "start", "status", "stop", "terminate", "update"),
)
VALUES: Final = (
    *("nixos-path", "system-path", "config", "config-file", "flake", "bridge", "port"),
    *("host-address", "local-address"),
)
MISSING: Final = 2
"""ENOENT, of a file that was looked for before."""
NO_TERMINAL: Final = 25
"""ENOTTY, of a file that was opened before."""
ELSE: Final = 255


def quoted(name: str) -> str:
    """Return a name as the real one quotes it."""
    return f"\N{LEFT SINGLE QUOTATION MARK}{name}\N{RIGHT SINGLE QUOTATION MARK}"


def die(text: str, code: int = ELSE, *, said_by: str = "nixos-container: ") -> NoReturn:
    """End as Perl's ``die`` does."""
    sys.stderr.write(f"{said_by}{text}\n")
    sys.exit(code)


def die_at_line(text: str, code: int = ELSE) -> NoReturn:
    """End as Perl's ``die`` does without a newline."""
    die(f"{text} at nixos-container line 1.", code, said_by="")


class Parser(argparse.ArgumentParser):
    """Ends as Perl's Getopt does."""

    def error(self, message: str) -> NoReturn:
        """End with what is wrong, without the usage."""
        wrong = re.search(r"argument --(\S+): expected", message)
        if wrong:
            die(f"Option {wrong[1]} requires an argument", 1, said_by="")
        flag = re.search(r"unrecognized arguments: --(\S+)", message)
        die(f"Unknown option: {flag[1]}" if flag else message, 1, said_by="")


class _Pass(argparse.Action):
    """Collects a flag for Nix with its words."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        words = (self.option_strings[0], *values)
        namespace.passed = [*namespace.passed, words]


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(prog="nixos-container", add_help=False)
    made.add_argument("--help", action="store_true")
    made.add_argument("--ensure-unique-name", action="store_true")
    made.add_argument("--auto-start", action="store_true")
    for option in (*VALUES, "signal"):
        made.add_argument(f"--{option}")
    for option, count in PASSED.items():
        made.add_argument(f"--{option}", nargs=count, action=_Pass, dest="passed")
    made.add_argument("action", nargs="?")
    made.add_argument("name", nargs="?")
    made.set_defaults(nixos_path="<nixpkgs/nixos>", passed=[])
    return made


def show_help() -> None:
    """Print what it takes."""
    flags = ["ensure-unique-name", "auto-start", *VALUES]
    print("Usage: nixos-container ACTION [NAME] [FLAGS]")
    print("".join(f"  nixos-container {action}\n" for action in ACTIONS), end="")
    print("".join(f"  --{flag}\n" for flag in flags), end="")
