"""``hive completion``: print the completion of a shell, as the package installs it."""

import argparse
import sys

from pyglue import paths

SHELLS = ("bash", "fish", "zsh")
PROGRAMS = ("hive", "hive-mcp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.add_argument(
        "--program",
        choices=PROGRAMS,
        default=PROGRAMS[0],
        help="whose completion (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    name = f"{arguments.program}.{arguments.shell}"
    sys.stdout.write((paths.share() / "manual" / "completions" / name).read_text())
    return 0
