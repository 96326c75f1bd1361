"""A log in systemd's journal, read by ``journalctl``; for the NixOS backend.

A container's own journal is selected by machine name; messages of the host's systemd
and nspawn about it by unit. Every selection is one argument with an ``=`` and a checked
name, so none can be taken for another option. ``journalctl`` itself omits messages over
4096 bytes (no ``--all``), which bounds the length of its lines.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, NamedTuple

from pyglue import strict_json
from pyglue.api.journal import LINES_MAX, JournalPage
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.logs import JournalSource, Lines
from pyglue.process import Child, find_program
from pyglue.strict_json import JsonError
from pyglue.text.display import visible

_FORMAT: Final = (
    *("--output=json", "--output-fields=MESSAGE", "--no-pager", "--quiet"),
)
_CURSOR: Final = re.compile(r"[A-Za-z0-9=;-]{1,400}")
_READ_S: Final = 60.0
_ENTRY_MAX: Final = 64 * 1024
"""Maximum bytes of a JSON line; 4096 bytes of binary data are written as numbers."""
_WITH_US: Final = ("--pdeathsig", "KILL", "--")
Clean = Callable[[str], str]
_TOO_LONG: Final = "(a message of more than 4096 bytes)"


class Journald(JournalSource):
    """The part of the journal that ``selection`` (arguments of journalctl) selects."""

    def __init__(self, *selection: str, clean: Clean = str) -> None:
        """``clean`` removes values of secrets from each message."""
        self._selection = selection
        self._clean = clean

    async def read(self, lines: int, cursor: str | None) -> JournalPage:
        """Return lines; see ``JournalSource``."""
        found = Lines(lines)
        last_line: list[str] = []

        def take(line: str) -> None:
            if (entry := _entry(line, self._clean)) is None:
                last_line[:] = [line]
            elif cursor is None or not found.full:
                entry.put_into(found)

        child = self._start([f"--lines={lines}", *_after(cursor)], take)
        try:
            async with asyncio.timeout(_READ_S):
                code = await child.wait()
        except TimeoutError:
            raise HiveError(
                ErrorCode.TIMEOUT, f"journalctl did not finish within {_READ_S:g} s."
            ) from None
        finally:
            child.kill()
        if code != 0:
            raise self._failed(last_line)
        page = found.page if cursor is None else found.first_page
        return await asyncio.to_thread(page, cursor)

    async def follow(self, cursor: str | None) -> AsyncGenerator[JournalPage, None]:
        """Yield the messages after ``cursor``, from one ``journalctl --follow``."""
        news = _News(self._clean)
        since = _after(cursor) if cursor is not None else ["--lines=all"]
        # Without --merge this means "of this boot", and to determine a container's
        # boot takes permissions in the container that hived does not have.
        child = self._start(["--follow", "--merge", *since], news.hear)
        end = asyncio.ensure_future(child.wait())
        end.add_done_callback(lambda _: news.wake.set())
        try:
            while True:
                lines = news.take()
                if lines is not None:
                    page = await asyncio.to_thread(lines.page, cursor, gap=news.gap)
                    cursor = page.cursor
                    yield page
                elif end.done():
                    raise self._failed(news.last_line)
                else:
                    await news.wake.wait()
                    news.wake.clear()
        finally:
            child.kill()
            await end

    def _start(self, arguments: list[str], take: Callable[[str], None]) -> Child:
        return Child.start(
            [find_program("journalctl"), *_FORMAT, *self._selection, *arguments],
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "LC_ALL": "C.UTF-8",
                "SYSTEMD_COLORS": "0",
            },
            wrapper=(find_program("setpriv"), *_WITH_US),
            on_line=take,
            line_max=_ENTRY_MAX,
        )

    def _failed(self, last_line: list[str]) -> HiveError:
        reason = visible(last_line[-1]) if last_line else "it ended"
        if any(one.startswith("--machine=") for one in self._selection):
            return HiveError(
                ErrorCode.AGENT_NOT_RUNNING,
                f"Cannot read the log inside the container: {reason}. The host's log "
                "about it is the unit `machine`.",
            )
        return HiveError(ErrorCode.UNAVAILABLE, f"journalctl failed: {reason}.")


class _Entry(NamedTuple):
    """One JSON object of journalctl. Reading resumes after a message's last line."""

    texts: tuple[str, ...]
    at: float
    cursor: str

    def put_into(self, lines: Lines) -> None:
        for text in self.texts[:-1]:
            lines.add(text, self.at, None)
        lines.add(self.texts[-1], self.at, self.cursor)


class _News:
    """Lines that a follower has not received yet; beyond the limit, the oldest go."""

    def __init__(self, clean: Clean) -> None:
        self._clean = clean
        self.wake = asyncio.Event()
        self.last_line: list[str] = []
        self.gap = False
        self._lines = Lines(LINES_MAX)
        self._count = 0

    def hear(self, line: str) -> None:
        """Add a line of journalctl's output."""
        if (entry := _entry(line, self._clean)) is None:
            self.last_line[:] = [line]
            return
        entry.put_into(self._lines)
        self._count += len(entry.texts)
        self.wake.set()

    def take(self) -> Lines | None:
        """Return pending lines, None if there are none; ``gap``: some were dropped."""
        if self._count == 0:
            return None
        self.gap = self._count > LINES_MAX
        taken, self._lines, self._count = self._lines, Lines(LINES_MAX), 0
        return taken


def _after(cursor: str | None) -> list[str]:
    if cursor is None:
        return []
    if _CURSOR.fullmatch(cursor) is None:
        raise HiveError(
            ErrorCode.BAD_REQUEST, "Invalid cursor for this log; begin without one."
        )
    return [f"--after-cursor={cursor}"]


def _entry(line: str, clean: Clean) -> _Entry | None:
    """Return the message of one JSON object; None for any other output."""
    try:
        entry = strict_json.read(line, dict[str, Any])
        at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        cursor = str(entry["__CURSOR"])
    except (JsonError, KeyError, ValueError, TypeError):
        return None
    message = clean(_message(entry.get("MESSAGE", "")))
    return _Entry(tuple(message.removesuffix("\n").split("\n")), at, cursor)


def _message(value: object) -> str:
    """Return a field's text: a string, bytes as numbers, or several of both."""
    if value is None:
        return _TOO_LONG
    if isinstance(value, list):
        if all(type(one) is int and 0 <= one < 256 for one in value):
            return bytes(value).decode("utf-8", "replace")
        return "\n".join(_message(one) for one in value[:100])
    return str(value)
