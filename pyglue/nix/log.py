"""Nix's output of a failed evaluation, as problems with file, line and column.

The log is ``--log-format internal-json``. Its texts contain terminal codes, paths of
this machine and anything that the author of agent.nix put into ``throw``. Codes and
control characters are removed, paths are made relative to the agent's directory, and
everything is cut to size. Nix gives no position for type errors, so as a hint the
option's name is looked up in the file that the text mentions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hints import with_hint
from pyglue.strict_json import JsonError
from pyglue.text.display import visible

_MESSAGE_MAX: Final = 4000
_PRINTED_MAX: Final = 20
_PRINTED_LENGTH: Final = 500
_WARNING: Final = "evaluation warning:"
_SOURCE_MAX: Final = 1024 * 1024
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_POSITION: Final = re.compile(r"^(?P<file>.+?)(?::(?P<line>\d+):(?P<column>\d+))?$")
_IN_FILE: Final = re.compile(r"In (?:module )?`([^`'\n]+)'|^([\w./+-]+\.nix) ")
_OPTION: Final = re.compile(r"option\s+`([^`']+)[`']|cannot|sets `([^`']+)'")
_NAME: Final = re.compile(r"[A-Za-z_][\w'-]*")
_CUT_LINE: Final = re.compile(r'"column":(\d+|null),"file":(null|"(?:[^"\\]|\\.)*"),')
_CUT_TEXT: Final = re.compile(r'"line":(\d+|null),"msg":"((?:[^"\\]|\\.)*)')
_ERROR: Final = re.compile(r"^\s*error:", re.MULTILINE)
_HINTS: Final = {
    "infinite recursion encountered": "a value in agent.nix is defined by itself",
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One error; ``file`` is relative to the agent's directory, lines start at 1."""

    file: str | None
    line: int | None
    column: int | None
    message: str

    def __str__(self) -> str:
        """Write it as ``file:line:column: message``."""
        place = [self.file or "agent.nix"]
        if self.line is not None:
            place.append(str(self.line))
            if self.column is not None:
                place.append(str(self.column))
        return f"{':'.join(place)}: {self.message}"


class EvalError(HiveError):
    """The evaluation of a directory failed: ``eval_failed`` or ``eval_limit``."""

    def __init__(
        self, code: ErrorCode, message: str, problems: Sequence[Problem] = ()
    ) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        details = {"problems": [asdict(problem) for problem in self.problems]}
        super().__init__(code, message, details=details)


@dataclass(frozen=True, kw_only=True)
class Roots:
    """The paths that Nix saw, and the real directory of the agent."""

    agent: str
    modules: str
    lib: str | None
    directory: Path
    commit: str | None = None
    """The commit from which the directory was exported; None for a working tree."""

    def relative(self, text: str) -> str:
        """Remove paths of this machine from a text."""
        text = text.replace(f"{self.agent}/", "").replace(self.agent, ".")
        if self.lib is not None:
            text = text.replace(self.lib, "<nixpkgs lib>")
        return text.replace(self.modules, "<hyperhive>")


def read_problems(log: bytes, roots: Roots) -> tuple[Problem, ...]:
    """Return the problems named in the log of a failed evaluation, if any."""
    found = None
    for event in _events(log.decode("utf-8", "replace")):
        # The error comes last; output of ``builtins.trace`` has no raw_msg.
        if event.get("level") == 0 and isinstance(event.get("raw_msg"), str):
            found = event
    return () if found is None else (_problem(found, roots),)


def read_printed(log: bytes, roots: Roots) -> tuple[str, ...]:
    """Return the traces and warnings of agent.nix, one line each.

    Nix's remarks about its own environment are left out. At most twenty, clipped.
    """
    found: dict[str, None] = {}
    for event in _events(log.decode("utf-8", "replace")):
        text = event.get("msg")
        if event.get("action") != "msg" or not isinstance(text, str):
            continue
        text = _ANSI.sub("", text)
        is_trace = event.get("level") == 0 and text.startswith("trace: ")
        is_warning = event.get("level") == 1 and (
            _WARNING in text or roots.agent in text
        )
        if is_trace or is_warning:
            line = roots.relative(text.removeprefix("trace: ")).strip()
            found[visible(line, limit=_PRINTED_LENGTH)] = None
    return tuple(found)[:_PRINTED_MAX]


def _events(log: str) -> Iterator[Mapping[str, Any]]:
    for line in log.splitlines():
        if not line.startswith("@nix "):
            continue
        try:
            event = strict_json.read(line[5:], object)
        except JsonError:
            event = _cut_event(line)
        if isinstance(event, dict):
            yield event


def _cut_event(line: str) -> dict[str, Any] | None:
    """Read the rest of an event whose line was too long to keep."""
    head, text = _CUT_LINE.search(line), _CUT_TEXT.search(line)
    if head is None or text is None:
        return None
    try:
        message = _without_trace(strict_json.read(f'"{text[2]}"', str))
        column, file, at = (
            strict_json.read(x, object) for x in (head[1], head[2], text[1])
        )
    except JsonError:
        return None
    return {"level": 0, "column": column, "file": file, "line": at, "raw_msg": message}


def _without_trace(text: str) -> str:
    """Return the message of a whole error, which newer Nix begins with the trace."""
    found = list(_ERROR.finditer(text := _ANSI.sub("", text)))
    if not found:
        return ""
    message = text[found[0].end() :]
    if message.lstrip().startswith("…") and len(found) > 1:
        return text[found[1].end() :]
    return message


def _problem(event: Mapping[str, Any], roots: Roots) -> Problem:
    text = roots.relative(_ANSI.sub("", event["raw_msg"])).strip()
    message = "\n".join(
        visible(line, limit=1000) for line in text[:_MESSAGE_MAX].splitlines()
    )
    if message in _HINTS:
        message = f"{message}: {_HINTS[message]}"
    message = with_hint(message, roots.commit)
    message = message or "evaluation failed without a reason"
    file, line, column = _position(event)
    if file is not None and file.startswith(f"{roots.agent}/"):
        name = visible(file[len(roots.agent) + 1 :], limit=200)
        return Problem(file=name, line=line, column=column, message=message)
    return _located(message, roots)


def _position(event: Mapping[str, Any]) -> tuple[str | None, int | None, int | None]:
    """Read a position: Nix 2.34 adds line and column to the name of the file."""
    file, line, column = event.get("file"), event.get("line"), event.get("column")
    match = _POSITION.match(file) if isinstance(file, str) else None
    if match is None:
        return None, None, None
    if match["line"] is not None:
        return match["file"], int(match["line"]), int(match["column"])
    whole = line if isinstance(line, int) and line > 0 else None
    return file, whole, column if isinstance(column, int) and column > 0 else None


def _located(message: str, roots: Roots) -> Problem:
    """Find where the option named in a text is set, if it is set in one place."""
    match = _IN_FILE.search(message)
    name = next(filter(None, match.groups()), None) if match else None
    file = name or "agent.nix"
    parts = file.split("/")
    path = roots.directory.joinpath(*parts)
    if ".." in parts or path.is_symlink() or not path.is_file():
        return Problem(file=None, line=None, column=None, message=message)
    option = _OPTION.search(message)
    wanted = next(filter(None, option.groups()), "") if option else ""
    names = _NAME.findall(wanted.partition('."[')[0])
    if names and path.stat().st_size <= _SOURCE_MAX:
        text = path.read_text("utf-8", "replace")
        for line, column in _definitions(text, names[-1]):
            return Problem(file=file, line=line, column=column, message=message)
    return Problem(file=name, line=None, column=None, message=message)


def _definitions(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Yield the one line and column where ``name`` is defined; nothing if several."""
    pattern = re.compile(rf"(?<![\w'-])\"?{re.escape(name)}\"?\s*[.={{]")
    found = [
        (number, match.start() + 1)
        for number, line in enumerate(text.split("\n"), start=1)
        if (match := pattern.search(line.partition("#")[0])) is not None
    ]
    if len(found) == 1:
        yield found[0]
