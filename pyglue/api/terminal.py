"""Terminals in agents' containers: calls of the operator, and of hived and harness.

Bytes go from the harness's PTY over the agent's ``hive.sock`` to hived and on to the
operator's connection, and back. ``offset`` counts a terminal's output bytes from its
start, so that a viewer that reconnects misses nothing and sees nothing twice.
"""

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import AgentName, Done, Method, Note, Params, Result, ShortText

CHUNK: Final = 32 * 1024
"""Most bytes in one message."""
HARNESS_GONE: Final = "The harness is gone."
"""Why hived ends the terminals of an agent that stops or restarts."""

TerminalId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Data = Annotated[bytes, Meta(max_length=CHUNK)]
Cells = Annotated[int, Meta(ge=1, le=1000)]

# --- hived to harness -----------------------------------------------------------


class TerminalStartParams(Params, frozen=True):
    """Open a PTY with a shell."""

    terminal: TerminalId
    columns: Cells
    rows: Cells


TERMINAL_START: Final = Method("terminal_start", TerminalStartParams, Done)


class TerminalInputParams(Params, frozen=True):
    """Typed or pasted input."""

    terminal: TerminalId
    data: Data


TERMINAL_INPUT: Final = Note("terminal_input", TerminalInputParams)


class TerminalResizeParams(Params, frozen=True):
    """The viewer's window was resized."""

    terminal: TerminalId
    columns: Cells
    rows: Cells


TERMINAL_RESIZE: Final = Note("terminal_resize", TerminalResizeParams)


class TerminalParams(Params, frozen=True):
    """Names a terminal."""

    terminal: TerminalId


TERMINAL_STOP: Final = Note("terminal_stop", TerminalParams)
"""End the shell and everything that it started."""

# --- harness to hived -----------------------------------------------------------


class TerminalOutputParams(Params, frozen=True):
    """Output of the PTY; the answer comes when more can be accepted."""

    terminal: TerminalId
    data: Data

    TRUST: ClassVar = {
        "terminal": "must have been opened on this connection",
        "data": "no: shown in the operator's terminal, as its output",
    }


TERMINAL_OUTPUT: Final = Method("terminal_output", TerminalOutputParams, Done)


class TerminalExitParams(Params, frozen=True):
    """The shell exited; ``reason`` is a sentence."""

    terminal: TerminalId
    reason: ShortText

    TRUST: ClassVar = {
        "terminal": "must have been opened on this connection",
        "reason": trust.NO,
    }


TERMINAL_EXIT: Final = Note("terminal_exit", TerminalExitParams)

# --- operator -------------------------------------------------------------------


class TerminalOpenParams(Params, frozen=True):
    """Open a terminal in the container of ``agent``, as its own user."""

    agent: AgentName
    columns: Cells = 80
    rows: Cells = 24


class TerminalOpenResult(Result, frozen=True):
    """The terminal's id: a secret that lets a viewer reattach."""

    terminal: TerminalId


TERMINAL_OPEN: Final = Method("terminal_open", TerminalOpenParams, TerminalOpenResult)


class TerminalAttachParams(Params, frozen=True):
    """Attach to a terminal's output at ``offset``; a new viewer replaces the old."""

    terminal: TerminalId
    offset: Annotated[int, Meta(ge=0)] = 0


class TerminalAttachResult(Result, frozen=True):
    """Output begins at ``offset``; if it is later than requested, the rest is lost."""

    agent: str
    offset: int


TERMINAL_ATTACH: Final = Method(
    "terminal_attach", TerminalAttachParams, TerminalAttachResult
)


class TerminalAckParams(Params, frozen=True):
    """The viewer has shown everything before ``offset``."""

    terminal: TerminalId
    offset: Annotated[int, Meta(ge=0)]


TERMINAL_ACK: Final = Note("terminal_ack", TerminalAckParams)

TERMINAL_CLOSE: Final = Method("terminal_close", TerminalParams, Done)


class TerminalDataParams(Params, frozen=True):
    """To the operator's client: output that begins at ``offset``."""

    terminal: TerminalId
    offset: int
    data: bytes


TERMINAL_DATA: Final = Note("terminal_data", TerminalDataParams)

TERMINAL_ENDED: Final = Note("terminal_ended", TerminalExitParams)
"""To the operator's client: the terminal has ended."""
