"""``hive-egress --config FILE``: the only way from an agent without network to hosts.

Runs unprivileged (whoever starts it sees to that). Waits for hived as long as it
takes, and ends on SIGTERM within two seconds.
"""

import argparse
import sys

import sdnotify

from pyglue.config import HiveConfig
from pyglue.egress.app import Egress
from pyglue.egress.hello import without_names
from pyglue.process import daemon


async def serve(config: HiveConfig) -> None:
    """Carry connections until SIGTERM or SIGINT."""
    sys.unraisablehook = without_names
    notifier = sdnotify.SystemdNotifier()
    egress = Egress(config, attached=lambda: notifier.notify("READY=1"))
    await daemon.until_stopped(egress.link.run(), egress.close)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return daemon.parser("hive-egress", __doc__)


def main() -> None:
    """Run until told to stop; exit 1 with a sentence when it cannot start."""
    daemon.run(build_parser(), serve)


if __name__ == "__main__":
    main()
