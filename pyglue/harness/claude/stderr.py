"""The standard error of MCP servers, from the CLI's debug log.

The CLI logs a server's output of its last run as one entry. An entry of several lines
is a JSON string; older versions print the lines themselves. Before the CLI connects, it
may run a server once to detect its protocol: the output of that run is a separate entry
and is ignored, as is everything before a restart of a server.
"""

import contextlib
import re
from collections import defaultdict, deque
from typing import Final

from pyglue import strict_json
from pyglue.strict_json import JsonError
from pyglue.text.display import visible

BYTES_MAX: Final = 8 * 1024
"""Most characters of a server's standard error that are shown: its end."""
_TAIL: Final = 4
_LINE_MAX: Final = 2000
_ENTRY: Final = re.compile(r"\d{4}-\d\d-\d\dT\S+ \[\w+\] (.*)", re.DOTALL)
_WROTE: Final = re.compile(r'MCP server "([^"]+)":? Server stderr: (.*)', re.DOTALL)
_STARTS: Final = re.compile(r'MCP server "([^"]+)":? Starting connection')


class Stderr:
    """Reads the CLI's standard error line by line."""

    def __init__(self) -> None:
        self._servers: dict[str, list[str]] = defaultdict(list)
        self._cli: deque[str] = deque(maxlen=_TAIL)
        self._speaking: list[str] | None = None

    def take(self, line: str) -> None:
        """Read a line."""
        entry = _ENTRY.match(line)
        text = _plain(entry[1]) if entry else line
        if wrote := _WROTE.match(text) if entry else _WROTE.search(text):
            self._speaking = self._servers[wrote[1]]
            self._speaking.append(wrote[2])
        elif entry:
            self._speaking = None
            if starts := _STARTS.match(text):
                self._servers.pop(starts[1], None)
        elif self._speaking is not None:
            self._speaking.append(line)
        else:
            self._cli.append(line)

    def of(self, server: str) -> str:
        """Return a server's output, only the end if it is long, as visible text."""
        text = "\n".join(self._servers.get(server, ())).rstrip()
        cut = text.encode(errors="replace")[-BYTES_MAX:].decode(errors="ignore")
        lines = [visible(line, limit=_LINE_MAX) for line in cut.splitlines()]
        if len(cut) < len(text):
            lines[:1] = ["…"]  # the first line may be a part of one
        return "\n".join(lines)

    def of_cli(self) -> str:
        """Return the last lines of the CLI itself."""
        return f" It wrote: {' / '.join(self._cli)}" if self._cli else ""


def _plain(text: str) -> str:
    """Return an entry's text, which is a JSON string if it has line breaks."""
    if text.startswith('"'):
        with contextlib.suppress(JsonError):
            return strict_json.read(text.rstrip(), str, what="log entry")
    return text
