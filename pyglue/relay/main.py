"""``hive-relay --config FILE``: the only way from an agent to the model.

Runs unprivileged, as the user that its starter chose. Waits for hived for as long as
it takes, and exits within two seconds of SIGTERM.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import sdnotify

from pyglue import __version__
from pyglue.config import HiveConfig, load
from pyglue.errors import HiveError
from pyglue.process import raise_open_files
from pyglue.relay.app import Relay
from pyglue.seldom import log_to_stderr


async def serve(config: HiveConfig) -> None:
    """Relay until SIGTERM or SIGINT.

    Raises:
        HiveError: ``config_invalid`` if the model's address is invalid.
    """
    notifier = sdnotify.SystemdNotifier()
    relay = Relay(config, attached=lambda: notifier.notify("READY=1"))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    linked = asyncio.create_task(relay.link.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        # The link never ends without an error, which then ends the relay.
        await asyncio.wait({linked, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await relay.close()
        if linked.done():
            linked.result()
    finally:
        linked.cancel()
        stopped.cancel()
        await asyncio.gather(linked, stopped, return_exceptions=True)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="hive-relay", description=__doc__)
    parser.add_argument(
        "--config", type=Path, required=True, help="configuration file (JSON)"
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def main() -> None:
    """Run the relay; exit with 1 and a sentence if it cannot start."""
    arguments = build_parser().parse_args()
    log_to_stderr()
    try:
        raise_open_files()
        asyncio.run(serve(load(arguments.config)))
    except HiveError as error:
        sys.stderr.write(f"hive-relay: {error.message}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
