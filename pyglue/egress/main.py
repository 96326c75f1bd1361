"""``hive-egress --config FILE``: the only way from agents without network to hosts.

It runs unprivileged (the unit, or ``hive run``, ensures that), waits for hived as long
as necessary, and exits within two seconds of SIGTERM.
"""

import argparse
import sys

import sdnotify

from pyglue import startup
from pyglue.config import HiveConfig
from pyglue.egress.app import Egress
from pyglue.egress.hello import without_names
from pyglue.program import daemon


async def serve(config: HiveConfig) -> None:
    """Relay connections until SIGTERM or SIGINT."""
    sys.unraisablehook = without_names
    notifier = sdnotify.SystemdNotifier()
    egress = Egress(config, attached=lambda: notifier.notify("READY=1"))
    await daemon.until_stopped(egress.link.run(), egress.close)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return daemon.parser("hive-egress", __doc__)


def main() -> None:
    """Run until stopped; exit 1 with an error message if it cannot start."""
    startup.done()
    daemon.run(build_parser(), serve)


if __name__ == "__main__":
    main()
