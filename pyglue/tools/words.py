"""A tool call in a few words, for people: what an agent is doing right now.

Used by hived for the step of a running turn, and by the dashboard for live events. All
of it is a harness's claim: it is shown, and decides nothing.
"""

from typing import Any, Final

from pyglue.api.turn_events import ToolCall
from pyglue.names import OPERATOR
from pyglue.text.display import visible
from pyglue.tools.tool import HIVE

_MOST: Final = 80
EVENT_MAX: Final = 128 * 1024
"""Bytes of a turn's event that are decoded for it; a harness cuts its own far below."""
CALL_ID_MAX: Final = 80
"""Characters of a call's id by which its start and end are matched."""
_TELLING: Final = ("command", "file_path", "path", "url", "query", "pattern", "to")
"""Fields of a tool's input that describe it; the first one present is used."""
_MCP: Final = "mcp__"
_DOES: Final = {
    "Bash": "runs",
    "Read": "reads",
    "Write": "writes",
    "Edit": "edits",
    "MultiEdit": "edits",
    "NotebookEdit": "edits",
    "Grep": "searches for",
    "Glob": "looks for",
    "WebFetch": "fetches",
    "WebSearch": "searches the web for",
}
_TO: Final = {"send": "writes to", "ask": "asks"}
"""Tools of the hive that have a recipient or an agent."""
_WAITS: Final = {"recv": "waits for messages"}


def words(call: ToolCall) -> str:
    """Return a call in a few words: ``Bash: npm test``, ``MCP tool fetch.get``."""
    server, tool = server_of(call.name)
    name = visible(tool, limit=_MOST)
    if server is not None:
        return f"MCP tool {visible(server, limit=_MOST)}.{name}"
    detail = _detail(call.input)
    return f"{name}: {visible(detail, limit=_MOST)}" if detail else name


def doing(call: ToolCall) -> str:
    """Return what its agent does, as a verb: ``runs `npm test```, ``asks bob``."""
    server, tool = server_of(call.name)
    detail = _detail(call.input)
    if server == HIVE and tool in _WAITS:
        return _WAITS[tool]
    if server == HIVE and tool in _TO:
        whom = detail or OPERATOR
        who = "you" if whom == OPERATOR else visible(whom, limit=_MOST)
        return f"{_TO[tool]} {who}"
    verb = _DOES.get(call.name)
    if verb is not None and detail:
        return f"{verb} `{visible(detail, limit=_MOST)}`"
    return f"uses {words(call)}"


def server_of(tool: str) -> tuple[str | None, str]:
    """Return the MCP server and its own name of a tool, or None and the name."""
    if not tool.startswith(_MCP):
        return None, tool
    server, _, name = tool.removeprefix(_MCP).partition("__")
    return (server, name) if name else (None, tool)


def _detail(given: Any) -> str:  # noqa: ANN401
    if not isinstance(given, dict):
        return ""
    texts = (given[key] for key in _TELLING if isinstance(given.get(key), str))
    return next(texts, "").strip().partition("\n")[0]
