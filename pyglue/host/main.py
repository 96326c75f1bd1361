"""``hived --config FILE``: the daemon, until SIGTERM or SIGINT.

It tells systemd when it is ready (Type=notify) and that it is alive (WatchdogSec).
"""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

import sdnotify

from pyglue import startup
from pyglue.config import load
from pyglue.errors import HiveError
from pyglue.host.bootstrap import open_hive
from pyglue.process import raise_open_files
from pyglue.program import daemon
from pyglue.program.log import log_to_stderr


async def _watchdog(notifier: sdnotify.SystemdNotifier) -> None:
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6
    while interval > 0:
        notifier.notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def _serve(config_file: Path) -> None:
    notifier = sdnotify.SystemdNotifier()
    stop = daemon.stop_signal()
    hive = await open_hive(load(config_file))
    alive = asyncio.create_task(_watchdog(notifier))
    notifier.notify("READY=1\nSTATUS=Running")
    try:
        await stop.wait()
    finally:
        notifier.notify("STOPPING=1")
        alive.cancel()
        await hive.close()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = daemon.parser("hived", "The hive's daemon.")
    parser.add_argument("--debug", action="store_true", help="verbose logging")
    return parser


def main() -> None:
    """Run hived; exit 1 with an error message if it cannot start."""
    startup.done()
    arguments = build_parser().parse_args()
    log_to_stderr(logging.DEBUG if arguments.debug else logging.INFO)
    os.umask(0o077)
    try:
        raise_open_files()
        asyncio.run(_serve(arguments.config))
    except HiveError as error:
        sys.stderr.write(f"hived: {error.message}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
