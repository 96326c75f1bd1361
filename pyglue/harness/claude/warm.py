"""The CLI that stays alive after a turn, so that the next one starts immediately.

At most one is kept, and only if it is certain to behave like a new one: its turn
succeeded, it runs the same session with the same options, its MCP servers are running,
the session's file is unchanged, and it has not grown too large. Otherwise it is ended,
and the turn starts a new CLI. The session's file is complete when a turn ends, so the
CLI can be killed at any time.

Between turns it is stopped (SIGSTOP); otherwise it would poll a hundred times a second.
hived grants each stay, and may revoke it (``cool``).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pyglue.harness.claude.cli import Cli
from pyglue.harness.claude.launch import Launch
from pyglue.harness.claude.wire import CliError
from pyglue.limits import WARM_BYTES
from pyglue.process.family import Family

_SETTLE_S: Final = 1.0
"""Delay after a turn before it is stopped: it tidies up for a moment."""
_ANSWER_S: Final = 5.0
"""Timeout of its answer before a turn, however long it was stopped."""
_BUDGET_LEAST: Final = 0.5
_BUDGET_MOST: Final = 1.05
"""Limits of its remaining budget as a share of what a turn may cost now: with much less
it would stop too soon, with more too late."""

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Kept:
    """A CLI between or in turns, and its launch."""

    cli: Cli
    launch: Launch
    spent_usd: float = 0.0
    family: Family | None = None
    is_paused: bool = False
    stamp: tuple[int, int] | None = None
    """Size and time of the session's file when it was stopped."""
    waits: asyncio.Task[None] | None = field(default=None, repr=False)


@dataclass(kw_only=True)
class Warm:
    """Keeps the CLI of one agent between turns."""

    keep_s: float
    """0 keeps none."""
    transcript: Callable[[str], Path]
    """Finds a session's file."""
    changed: Callable[[int], None]
    """Called with the number of bytes kept, when it changes outside a turn."""
    settle_s: float = _SETTLE_S
    _kept: _Kept | None = field(default=None, init=False)
    _lent: _Kept | None = field(default=None, init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def memory(self) -> int:
        """Bytes of the kept CLI; 0: there is none."""
        kept = self._kept
        return 0 if kept is None or kept.family is None else kept.family.bytes_own()

    async def take(self, launch: Launch) -> Cli:
        """Return a CLI for a turn: the kept one if it is suitable, else a new one.

        Raises:
            CliError: It cannot be started.
        """
        async with self._lock:
            kept, self._kept = self._kept, None
            if kept is not None:
                try:
                    why = await self._doubt(kept, launch)
                except BaseException:
                    await _end(kept)
                    raise
                if why is None:
                    kept.cli.heard = launch.stderr
                    self._lent = kept
                    return kept.cli
                _log.info("starting a new CLI: %s", why)
                await _end(kept)
            self._lent = None
            cli = await Cli.start(launch)
            self._lent = _Kept(cli=cli, launch=launch)
            return cli

    async def give(self, cli: Cli, *, ended_well: bool) -> None:
        """Accept the CLI of a turn; it is kept if allowed."""
        lent, self._lent = self._lent, None
        if lent is None or lent.cli is not cli:
            raise AssertionError("it was taken here")
        if not ended_well or self.keep_s <= 0 or cli.returncode is not None:
            await cli.close()
            return
        lent.family = Family.of(cli.pid)
        held = lent.family.bytes_own()
        if held > WARM_BYTES:
            _log.info("ending the CLI: it uses %d MiB", held >> 20)
            await cli.close()
            return
        self._kept = lent
        lent.waits = asyncio.create_task(self._wait(lent))

    def spent(self, cost_usd: float) -> None:
        """Add the cost of the kept CLI's last turn."""
        if self._kept is not None:
            self._kept.spent_usd += cost_usd

    async def cool(self) -> None:
        """End the kept CLI, if there is one, but not one that is running a turn."""
        if self._kept is not None:
            await self._cool(self._kept)

    async def _cool(self, kept: _Kept) -> None:
        async with self._lock:
            if self._kept is kept:
                self._kept = None
                await _end(kept)
                self.changed(0)

    # --- while it waits ---------------------------------------------------------------

    async def _wait(self, kept: _Kept) -> None:
        """Stop it, end it after a time, and notice if it exits."""
        ended = asyncio.create_task(kept.cli.process.wait())
        try:
            await asyncio.wait({ended}, timeout=min(self.settle_s, self.keep_s))
            if not ended.done():
                kept.cli.process.pause()
                kept.is_paused = True
                kept.family = Family.of(kept.cli.pid)
                kept.stamp = self._stamp(kept)
                seconds = max(self.keep_s - self.settle_s, 0.0)
                await asyncio.wait({ended}, timeout=seconds)
        finally:
            ended.cancel()
        kept.waits = None  # it ends here, and need not be cancelled
        await self._cool(kept)

    def _stamp(self, kept: _Kept) -> tuple[int, int] | None:
        try:
            found = self.transcript(kept.launch.session or "").stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    async def _doubt(self, kept: _Kept, launch: Launch) -> str | None:
        """Return why a kept CLI is unsuitable for a turn; wake it if it is suitable."""
        await _awake(kept)
        if not _same(kept, launch):
            return "the turn needs another one"
        if kept.cli.returncode is not None or kept.family is None:
            return "it has ended"
        if kept.is_paused and not kept.family.lives():
            return "one of its MCP servers has ended"
        if kept.is_paused and kept.stamp != self._stamp(kept):
            return "the session's file was changed"
        kept.cli.process.resume()
        kept.is_paused = False
        try:
            async with asyncio.timeout(_ANSWER_S):
                servers = await kept.cli.servers()
        except (CliError, TimeoutError) as error:
            return f"it does not answer: {error}"
        down = [s.get("name") for s in servers if s.get("status") != "connected"]
        return f"MCP servers are not connected: {down!r}" if down else None


async def _awake(kept: _Kept) -> None:
    """Cancel its pending end."""
    waits, kept.waits = kept.waits, None
    if waits is not None and waits is not asyncio.current_task():
        waits.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({waits})


async def _end(kept: _Kept) -> None:
    await _awake(kept)
    await kept.cli.close()


def _same(kept: _Kept, launch: Launch) -> bool:
    """Return whether a CLI was started as ``launch`` requires, and can be used."""
    was = kept.launch
    if not launch.resume or launch.session != was.session:
        return False
    plain = replace(
        was,
        session=launch.session,
        resume=launch.resume,
        budget_usd=launch.budget_usd,
        stderr=launch.stderr,
    )
    return plain == launch and _affords(was.budget_usd, kept.spent_usd, launch)


def _affords(began: float | None, spent: float, launch: Launch) -> bool:
    """Return whether its remaining budget is close to what a turn may cost now."""
    wanted = launch.budget_usd
    if began is None or wanted is None:
        return began is wanted
    left = began - spent
    return _BUDGET_LEAST * wanted <= left <= _BUDGET_MOST * wanted
