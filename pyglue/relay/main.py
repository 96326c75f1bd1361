"""``hive-relay --config FILE``: the only way from an agent to the model."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from pyglue import __version__
from pyglue.config import load
from pyglue.errors import HiveError
from pyglue.relay.app import Relay


async def _serve(config_file: Path) -> None:
    relay = Relay(load(config_file))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await relay.start()
    linked = asyncio.create_task(relay.link.run())
    try:
        await stop.wait()
    finally:
        linked.cancel()
        await asyncio.gather(linked, return_exceptions=True)
        await relay.close()


def main() -> None:
    """Relay until SIGTERM; exit 1 with a sentence when it cannot start."""
    parser = argparse.ArgumentParser(prog="hive-relay", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON config file")
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        asyncio.run(_serve(arguments.config))
    except HiveError as error:
        sys.stderr.write(f"hive-relay: {error.message}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
