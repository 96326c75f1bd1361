"""``hive-egress --config FILE``: the only way from an agent without network to hosts.

Runs unprivileged (whoever starts it sees to that). Waits for hived as long as it
takes, and ends on SIGTERM within two seconds.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import sdnotify

from pyglue import __version__
from pyglue.config import HiveConfig, load
from pyglue.egress.app import Egress
from pyglue.errors import HiveError
from pyglue.process import raise_open_files
from pyglue.seldom import log_to_stderr


async def serve(config: HiveConfig) -> None:
    """Carry connections until SIGTERM or SIGINT."""
    notifier = sdnotify.SystemdNotifier()
    egress = Egress(config, attached=lambda: notifier.notify("READY=1"))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    linked = asyncio.create_task(egress.link.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        # The link never ends by itself: if it does, its error ends the process.
        await asyncio.wait({linked, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await egress.close()
        if linked.done():
            linked.result()
    finally:
        linked.cancel()
        stopped.cancel()
        await asyncio.gather(linked, stopped, return_exceptions=True)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="hive-egress", description=__doc__)
    parser.add_argument(
        "--config", type=Path, required=True, help="configuration file (JSON)"
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def main() -> None:
    """Run until told to stop; exit 1 with a sentence when it cannot start."""
    arguments = build_parser().parse_args()
    log_to_stderr()
    try:
        raise_open_files()
        asyncio.run(serve(load(arguments.config)))
    except HiveError as error:
        sys.stderr.write(f"hive-egress: {error.message}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
