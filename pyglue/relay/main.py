"""``hive-relay --config FILE``: the only way from an agent to the model.

Runs unprivileged, as the user that its starter chose. Waits for hived for as long as
it takes, and exits within two seconds of SIGTERM.
"""

import argparse

import sdnotify

from pyglue import startup
from pyglue.config import HiveConfig
from pyglue.program import daemon
from pyglue.relay.app import Relay


async def serve(config: HiveConfig) -> None:
    """Relay until SIGTERM or SIGINT.

    Raises:
        HiveError: ``config_invalid`` if the model's address is invalid.
    """
    notifier = sdnotify.SystemdNotifier()
    relay = Relay(config, attached=lambda: notifier.notify("READY=1"))
    await daemon.until_stopped(relay.link.run(), relay.close)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return daemon.parser("hive-relay", __doc__)


def main() -> None:
    """Run the relay; exit with 1 and a sentence if it cannot start."""
    startup.done()
    daemon.run(build_parser(), serve)


if __name__ == "__main__":
    main()
