"""``hive doctor``: diagnosis, repair and the list of listeners."""

import argparse
from typing import Final

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.doctor import CheckState
from pyglue.cli.commands.exposure import exposure
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible

_REPAIR_S: Final = 600.0
_TEXT_MAX: Final = 2000


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``doctor``."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--repair", action="store_true", help="repair inconsistencies")
    chosen.add_argument(
        "--exposure",
        action="store_true",
        help="list every listener, who can reach it, and the user it runs as",
    )
    parser.add_argument(
        "--from-git",
        action="store_true",
        help="with --repair, while no hive runs: rebuild a lost or damaged store",
    )
    parser.add_argument(
        "--yes", action="store_true", help="with --from-git: do not ask"
    )


def doctor(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Diagnose, repair, or list the listeners."""
    if arguments.repair:
        return _repair(client)
    if arguments.exposure:
        return exposure(client)
    result = client.call(api.DOCTOR, NoParams())
    rows = []
    for check in result.checks:
        rows.append((check.state.value.upper(), check.name, visible(check.message)))
        if check.repair is not None:
            would = f"hive doctor --repair would {visible(check.repair)}."
            rows.append(("", "", would))
    bad = any(check.state is CheckState.PROBLEM for check in result.checks)
    return Answer(result, table(rows), int(bad))


def _repair(client: SyncClient) -> Answer:
    result = client.call(api.REPAIR, NoParams(), timeout=_REPAIR_S)
    lines = [f"REPAIRED  {visible(line, limit=_TEXT_MAX)}" for line in result.done]
    lines += [f"FAILED    {visible(line, limit=_TEXT_MAX)}" for line in result.failed]
    text = "\n".join(lines) or "There is nothing to repair."
    return Answer(result, text, int(bool(result.failed)))
