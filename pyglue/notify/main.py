"""``hive-notify --config FILE``: the only process that sends external notifications.

hived has no network access, and the process that has it should have nothing else. This
one knows the addresses in the operator's file. On ``notify.sock`` hived passes it one
notification at a time: a title and a link, or for a browser an encrypted body. It
stores nothing; hived retries failures.

Apprise sends to the services, in a thread, one notification at a time; ``push`` sends
to browsers' push services.
"""

import argparse
import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Final

import apprise
import msgspec
import sdnotify

from pyglue import startup, strict_json
from pyglue.api.notify import (
    Asked,
    SendNotification,
    SendPush,
    SentNotification,
    SentPush,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.notify.push import Pusher
from pyglue.program import daemon

_LINE: Final = 16 * 1024
_log = logging.getLogger(__name__)


class Places:
    """The destinations of notifications: one service a line of the operator's file."""

    def __init__(self, text: str) -> None:
        lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), start=1)]
        self._all = []
        for number, line in lines:
            if not line or line.startswith("#"):
                continue
            made = apprise.Apprise.instantiate(line, suppress_exceptions=True)
            if made is None:
                raise HiveError(
                    ErrorCode.CONFIG_INVALID,
                    f"Line {number} of the file with notification URLs is not a URL "
                    "that Apprise supports: write one URL a line, such as "
                    "ntfy://ntfy.sh/TOPIC.",
                )
            self._all.append(made)
        if not self._all:
            raise HiveError(
                ErrorCode.CONFIG_INVALID, "The file with notification URLs has no URL."
            )

    def send(self, asked: SendNotification) -> SentNotification:
        """Send to all services, or those that ``asked`` selects. Blocking."""
        numbers = range(len(self._all)) if asked.only is None else asked.only
        failed = [
            number
            for number in numbers
            if 0 <= number < len(self._all) and not self._sent(number, asked)
        ]
        names = sorted({str(self._all[number].service_name) for number in failed})
        problem = f"{', '.join(names)} did not accept it" if failed else None
        return SentNotification(failed=tuple(failed), problem=problem)

    def _sent(self, number: int, asked: SendNotification) -> bool:
        try:
            return bool(
                self._all[number].notify(
                    title="hyperhive",
                    body="\n".join(filter(None, (asked.title, asked.link))),
                )
            )
        except Exception as error:  # whatever a plugin raises
            _log.warning("service %d raised %s", number + 1, type(error).__name__)
            return False


def read_places(config: HiveConfig) -> Places | None:
    """Read the operator's file; None if only browsers get notifications.

    Raises:
        HiveError: ``config_invalid`` if it cannot be read, or a line is invalid.
    """
    path = config.notify.url_file
    if path is None and config.notify.web_push.enable:
        return None
    if path is None:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            "Notifications are not configured: set notify.url_file or notify.web_push.",
        )
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Cannot read the file with notification URLs: {error}.",
        ) from error
    return Places(text)


async def serve(config: HiveConfig) -> None:
    """Serve hived until SIGTERM or SIGINT.

    Raises:
        HiveError: ``config_invalid`` if the operator's file is invalid.
    """
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses
    places = read_places(config)
    pusher = Pusher(config.notify.web_push)
    stop = daemon.stop_signal()
    one_at_a_time = asyncio.Lock()

    async def sent(asked: SendNotification | SendPush) -> SentNotification | SentPush:
        if isinstance(asked, SendPush):
            return await pusher.send(asked)
        if places is None:
            return SentNotification()
        async with one_at_a_time:
            return await asyncio.to_thread(places.send, asked)

    async def serve_one(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with (
            contextlib.suppress(OSError, ValueError, HiveError),
            contextlib.closing(writer),
        ):
            while line := await reader.readline():
                answer = await sent(strict_json.read(line, Asked))
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()

    path = config.layout.notify_socket
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(serve_one, path, limit=_LINE)
    sdnotify.SystemdNotifier().notify("READY=1")
    await stop.wait()
    server.close()
    await pusher.close()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return daemon.parser("hive-notify", "Sends a hive's notifications.")


def main() -> None:
    """Run until stopped; exit 1 with an error message if it cannot start."""
    startup.done()
    daemon.run(build_parser(), serve)


if __name__ == "__main__":
    main()
