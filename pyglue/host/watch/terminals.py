"""Operators' terminals: bytes between a harness and a viewer.

hived buffers the newest output of each, so that a page that reconnects continues where
it was; a terminal without a viewer is closed after a minute. A slow viewer loses
nothing: the harness waits until its output was shown. The audit log records opening and
closing, but no input or output.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.terminal import (
    CHUNK,
    HARNESS_GONE,
    TERMINAL_DATA,
    TERMINAL_ENDED,
    TERMINAL_INPUT,
    TERMINAL_RESIZE,
    TERMINAL_START,
    TERMINAL_STOP,
    TerminalAckParams,
    TerminalAttachParams,
    TerminalAttachResult,
    TerminalDataParams,
    TerminalExitParams,
    TerminalInputParams,
    TerminalOpenParams,
    TerminalOpenResult,
    TerminalOutputParams,
    TerminalParams,
    TerminalResizeParams,
    TerminalStartParams,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.base import Backend
from pyglue.host.core.agent import Agent
from pyglue.host.core.asking import ask
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.jsonrpc import Connection
from pyglue.names import SYSTEM
from pyglue.redaction.redactor import Redactor, Stream
from pyglue.text.display import in_quotes

_KEPT: Final = 256 * 1024
_UNSEEN_MAX: Final = 8 * CHUNK
_ALONE_S: Final = 60.0
_START_S: Final = 10.0
_OPEN_MAX: Final = 32
_TYPED_S: Final = 0.05
"""Pause after which output that may begin a secret is shown: somebody is typing."""


@dataclass(kw_only=True)
class _Terminal:
    id: str
    agent: Agent
    harness: Connection
    by: str
    clean: Stream
    kept: bytearray = field(default_factory=bytearray)
    end: int = 0
    """Output bytes so far; ``kept`` has the last of them."""
    shown: int = 0
    viewer: Connection | None = None
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    alone: asyncio.TimerHandle | None = None
    flush: asyncio.TimerHandle | None = None

    @property
    def begin(self) -> int:
        return self.end - len(self.kept)


@dataclass(kw_only=True)
class Terminals:
    """All open terminals of the hive."""

    registry: Registry
    audit: Audit
    config: HiveConfig
    backend: Backend
    redactor: Redactor
    _open: dict[str, _Terminal] = field(init=False, default_factory=dict)

    # --- operators ------------------------------------------------------------------

    async def open(self, params: TerminalOpenParams, by: str) -> TerminalOpenResult:
        """Start a shell in the agent's container.

        Raises:
            HiveError: ``forbidden`` if terminals are disabled, ``not_found``,
                ``agent_not_running``, ``too_many``.
        """
        if not self.config.web.terminal:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                "Terminals are disabled in this hive's configuration.",
            )
        agent = self.registry.get(params.agent)
        harness = agent.harness
        if harness is None:
            raise HiveError(
                ErrorCode.AGENT_NOT_RUNNING, self.backend.without_harness(agent.name)
            )
        if len(self._open) >= _OPEN_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"{_OPEN_MAX} terminals are already open; close some.",
            )
        terminal = _Terminal(
            id=secrets.token_hex(16),
            agent=agent,
            harness=harness,
            by=by,
            clean=self.redactor.stream(),
        )
        self._open[terminal.id] = terminal
        start = TerminalStartParams(
            terminal=terminal.id, columns=params.columns, rows=params.rows
        )
        try:
            await ask(agent.name, harness, TERMINAL_START, start, timeout=_START_S)
        except HiveError:
            del self._open[terminal.id]
            raise
        self.audit.record(by, "terminal_opened", agent.name, {})
        harness.on_close(lambda: self._ended(terminal, HARNESS_GONE))
        self._left_alone(terminal)
        return TerminalOpenResult(terminal=terminal.id)

    async def attach(
        self, params: TerminalAttachParams, viewer: Connection, by: str
    ) -> TerminalAttachResult:
        """Attach a terminal to this connection; detach it from its previous one.

        Raises:
            HiveError: ``not_found`` if it has ended or belongs to another session.
        """
        terminal = self._mine(params.terminal, by)
        if terminal.alone is not None:
            terminal.alone.cancel()
        terminal.viewer = viewer
        offset = min(max(params.offset, terminal.begin), terminal.end)
        terminal.shown = offset
        kept = bytes(terminal.kept[offset - terminal.begin :])
        for at in range(0, len(kept), CHUNK):
            self._show(terminal, offset + at, kept[at : at + CHUNK])
        terminal.drained.set()
        viewer.on_close(lambda: self._viewer_gone(terminal, viewer))
        return TerminalAttachResult(agent=terminal.agent.name, offset=offset)

    def input(self, params: TerminalInputParams, viewer: Connection) -> None:
        """Send input; ignored unless ``viewer`` is attached."""
        terminal = self._viewed(params.terminal, viewer)
        if terminal is not None:
            terminal.harness.notify(TERMINAL_INPUT, params)

    def resize(self, params: TerminalResizeParams, viewer: Connection) -> None:
        """Change the size; ignored unless ``viewer`` is attached."""
        terminal = self._viewed(params.terminal, viewer)
        if terminal is not None:
            terminal.harness.notify(TERMINAL_RESIZE, params)

    def ack(self, params: TerminalAckParams, viewer: Connection) -> None:
        """Allow the harness to send more."""
        terminal = self._viewed(params.terminal, viewer)
        if terminal is not None and params.offset <= terminal.end:
            terminal.shown = max(terminal.shown, params.offset)
            terminal.drained.set()

    async def close(self, params: TerminalParams, by: str) -> None:
        """Close a terminal; do nothing if it has already ended."""
        terminal = self._open.get(params.terminal)
        if terminal is not None and terminal.by == by:
            self._stop(terminal, "Closed by the operator.")

    def close_of(self, by: str) -> None:
        """Close all terminals of a session that has ended."""
        for terminal in list(self._open.values()):
            if terminal.by == by:
                self._stop(terminal, "The login session has ended.")

    # --- harnesses ------------------------------------------------------------------

    async def output(self, params: TerminalOutputParams, harness: Connection) -> None:
        """Accept output; return when the viewer is ready for more.

        Raises:
            HiveError: ``not_found`` if the terminal has ended.
        """
        terminal = self._open.get(params.terminal)
        if terminal is None or terminal.harness is not harness:
            raise HiveError(ErrorCode.NOT_FOUND, "This terminal has ended.")
        self._add(terminal, terminal.clean.feed(params.data))
        if terminal.flush is not None:
            terminal.flush.cancel()
        if terminal.clean.waits:
            loop = asyncio.get_running_loop()
            terminal.flush = loop.call_later(_TYPED_S, self._flush, terminal)
        while terminal.end - terminal.shown > _UNSEEN_MAX and self._is_open(terminal):
            terminal.drained.clear()
            await terminal.drained.wait()
        del terminal.kept[: max(0, len(terminal.kept) - _KEPT)]

    def exited(self, params: TerminalExitParams, harness: Connection) -> None:
        """The shell has exited."""
        terminal = self._open.get(params.terminal)
        if terminal is not None and terminal.harness is harness:
            self._ended(terminal, in_quotes(params.reason))

    def _flush(self, terminal: _Terminal) -> None:
        if self._is_open(terminal):
            self._add(terminal, terminal.clean.flush())

    # --- one terminal -----------------------------------------------------------------

    def _is_open(self, terminal: _Terminal) -> bool:
        return terminal.id in self._open

    def _mine(self, name: str, by: str) -> _Terminal:
        terminal = self._open.get(name)
        if terminal is None or terminal.by != by:
            raise HiveError(
                ErrorCode.NOT_FOUND, "This terminal has ended; open a new one."
            )
        return terminal

    def _viewed(self, name: str, viewer: Connection) -> _Terminal | None:
        terminal = self._open.get(name)
        return terminal if terminal and terminal.viewer is viewer else None

    def _show(self, terminal: _Terminal, offset: int, data: bytes) -> None:
        if terminal.viewer is not None and data:
            shown = TerminalDataParams(terminal=terminal.id, offset=offset, data=data)
            terminal.viewer.notify(TERMINAL_DATA, shown)

    def _add(self, terminal: _Terminal, data: bytes) -> None:
        """Buffer and show output, after redaction."""
        begin = terminal.end
        terminal.kept += data
        terminal.end += len(data)
        self._show(terminal, begin, data)

    def _viewer_gone(self, terminal: _Terminal, viewer: Connection) -> None:
        if terminal.viewer is viewer:
            terminal.viewer = None
            self._left_alone(terminal)

    def _left_alone(self, terminal: _Terminal) -> None:
        if self._is_open(terminal):
            loop = asyncio.get_running_loop()
            terminal.alone = loop.call_later(
                _ALONE_S,
                self._stop,
                terminal,
                f"Closed after {_ALONE_S:g} s without a viewer.",
            )

    def _stop(self, terminal: _Terminal, reason: str) -> None:
        stop = TerminalParams(terminal=terminal.id)
        terminal.harness.notify(TERMINAL_STOP, stop)
        self._ended(terminal, reason)

    def _ended(self, terminal: _Terminal, reason: str) -> None:
        if self._open.pop(terminal.id, None) is None:
            return
        for timer in (terminal.alone, terminal.flush):
            if timer is not None:
                timer.cancel()
        self._add(terminal, terminal.clean.end())
        terminal.drained.set()
        if terminal.viewer is not None:
            ended = TerminalExitParams(terminal=terminal.id, reason=reason)
            terminal.viewer.notify(TERMINAL_ENDED, ended)
        data = {"bytes": terminal.end, "opened_by": terminal.by}
        self.audit.record(SYSTEM, "terminal_closed", terminal.agent.name, data)
