"""Make the manual pages and the shell completions in manual/ from the parsers.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1 when
a file differs. Pages are man(7), written from what argparse knows of each option;
completions are shtab's, with the names of agents where one is expected.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue import __version__
from pyglue.cli import hive
from pyglue.egress import main as hive_egress
from pyglue.host import main as hived
from pyglue.mcp import main as hive_mcp
from pyglue.notify import main as hive_notify
from pyglue.relay import main as hive_relay
from pyglue.web import main as hive_web

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "manual"
DATE: Final = "2026-11-29"
"""Shown in the foot of each page; changed by hand when the pages' form changes."""
SHELLS: Final = ("bash", "fish", "zsh")
COMPLETED: Final = ("hive", "hive-mcp")
_NAMES: Final = "hive agents --names 2>/dev/null"
"""Prints what an agent's name is completed from."""
_ENVIRONMENT: Final = {
    "HIVE_STATE": "State directory of a local hive, if --state is not given.",
    "HIVE_PORT": "Port of the dashboard of hive run, if --port is not given.",
    "HIVE_SHARE": "Directory with modules/, prompts/ and web/, if they are elsewhere.",
}
_CODES: Final = {
    "0": "The command succeeded.",
    "1": "The request was refused; the reason is on standard error, with --json as an "
    "object on standard output.",
    "2": "The command line is wrong.",
    "130": "Interrupted.",
}


@dataclass(frozen=True)
class Page:
    """A program's page. ``about`` is one line, without a full stop."""

    parser: argparse.ArgumentParser
    section: int
    about: str

    @property
    def name(self) -> str:
        """The program's name."""
        return self.parser.prog


def pages() -> tuple[Page, ...]:
    """Return every page that there is."""
    return (
        Page(hive.build_parser(), 1, "operate a hive of Claude Code agents"),
        Page(hive_mcp.build_parser(), 1, "an agent's tools for MCP clients"),
        Page(hived.build_parser(), 8, "the hive's daemon"),
        Page(hive_relay.build_parser(), 8, "the hive's only way to the model"),
        Page(hive_egress.build_parser(), 8, "an agent's way to the hosts it may reach"),
        Page(hive_notify.build_parser(), 8, "the hive's notifications"),
        Page(hive_web.build_parser(), 8, "the dashboard of a hive"),
    )


# --- manual pages -------------------------------------------------------------------


def escaped(text: str) -> str:
    """Return text as roff takes it literally."""
    return text.replace("\\", "\\e").replace("-", "\\-")


def paragraph(text: str) -> Iterator[str]:
    """Yield text in lines, none of which begins like a request."""
    for line in textwrap.wrap(" ".join(text.split()), 76, break_on_hyphens=False):
        begins = "\\&" if line[0] in ".'" else ""
        yield begins + escaped(line)


def invocation(action: argparse.Action) -> str:
    """Return an option or argument as it is typed."""
    value = _value(action)
    if not action.option_strings:
        return value
    names = ", ".join(f"\\fB{escaped(one)}\\fR" for one in action.option_strings)
    return f"{names} {value}".rstrip()


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.metavar is not None:
        name = str(action.metavar)
    elif action.choices is not None:
        name = "|".join(map(str, action.choices))
    else:
        name = action.dest.upper()
    shown = f"\\fI{escaped(name)}\\fR"
    if action.nargs == "?":
        return f"[{shown}]"
    return f"[{shown} ...]" if action.nargs == "*" else shown


def synopsis(parser: argparse.ArgumentParser, *, less: frozenset[str]) -> str:
    """Return a command line with all that it takes but the options ``less``."""
    parts = [f"\\fB{escaped(parser.prog)}\\fR"]
    for action in shown(parser, less):
        text = invocation(action)
        optional = bool(action.option_strings) and not action.required
        parts.append(f"[{text}]" if optional else text)
    return "\n".join(parts)


def shown(
    parser: argparse.ArgumentParser, less: frozenset[str]
) -> list[argparse.Action]:
    """Return the actions to show, in order."""
    return [
        action
        for action in parser._actions
        if action.help != argparse.SUPPRESS
        and less.isdisjoint(action.option_strings)
        and not isinstance(action, argparse._HelpAction)
    ]


def options(
    parser: argparse.ArgumentParser, *, less: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield the list of what a command takes."""
    formatter = parser._get_formatter()
    for action in shown(parser, less):
        if isinstance(action, argparse._SubParsersAction):
            continue
        yield from (".TP", invocation(action))
        text = formatter._expand_help(action) if action.help else ""
        yield from paragraph(text or f"See {parser.prog} --help.")


def commands(
    parser: argparse.ArgumentParser,
) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of all subcommands, the nested ones after their own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from commands(command)


def manual(page: Page) -> str:
    """Return a page as man(7)."""
    parser = page.parser
    common = frozenset(
        name for action in parser._actions for name in action.option_strings
    )
    lines = [
        f'.\\" Made by tools/generate_manual.py from the parser of {page.name}.',
        f'.TH {page.name.upper()} {page.section} {DATE} "hyperhive {__version__}"',
        ".SH NAME",
        f"{escaped(page.name)} \\- {escaped(page.about)}",
        ".SH SYNOPSIS",
        synopsis(parser, less=frozenset()),
        ".SH DESCRIPTION",
        *paragraph(parser.description or page.about),
    ]
    if listed := list(options(parser)):
        lines += [".SH OPTIONS", *listed]
    below = list(commands(parser))
    if below:
        lines.append(".SH COMMANDS")
    for command in below:
        lines += [
            f".SS {escaped(command.prog)}",
            synopsis(command, less=common),
            ".PP",
            *paragraph(_sentence(command.description)),
            *options(command, less=common),
        ]
    if page.name == "hive":
        lines += [".SH EXIT STATUS", *_terms(_CODES)]
        lines += [".SH ENVIRONMENT", *_terms(_ENVIRONMENT)]
    others = [
        f".BR {escaped(other.name)} ({other.section})"
        for other in pages()
        if other.name != page.name
    ]
    lines += [".SH SEE ALSO", " ,\n".join(others)]
    return "\n".join(lines) + "\n"


def _sentence(text: str | None) -> str:
    text = (text or "").strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _terms(terms: dict[str, str]) -> Iterator[str]:
    for term, text in terms.items():
        yield from (".TP", f"\\fB{escaped(term)}\\fR", *paragraph(text))


# --- completions --------------------------------------------------------------------


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a program's completion for a shell."""
    import shtab  # not needed to read what was made

    for command in (parser, *commands(parser)):
        for action in command._actions:
            if action.dest in ("agent", "to") and not action.option_strings:
                vars(action)["complete"] = shtab.cmd(_NAMES)
            elif action.type is Path:
                vars(action)["complete"] = shtab.FILE
    text = shtab.complete(parser, shell)
    return "\n".join(line.rstrip() for line in text.strip().split("\n")) + "\n"


def files() -> dict[str, str]:
    """Return every file of manual/ with its text."""
    found = {f"man/{page.name}.{page.section}": manual(page) for page in pages()}
    for shell in SHELLS:
        for page in pages():
            if page.name in COMPLETED:
                name = f"completions/{page.name}.{shell}"
                found[name] = completion(page.parser, shell)
    return found


def main(argv: list[str]) -> int:
    """Write the files, or with ``--check`` say which differ."""
    status = 0
    for name, text in files().items():
        path = TARGET / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        if "--check" in argv:
            print(f"manual/{name} is out of date: make generate")
            status = 1
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote manual/{name}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
