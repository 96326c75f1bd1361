"""Reports the end of a turn until hived has recorded it, or the connection is lost.

hived holds the turn's messages until it knows that the turn is over.
"""

import asyncio
import contextlib
import itertools
import logging
from typing import Final

from pyglue.api.agent import TURN_END
from pyglue.api.common import AgentState
from pyglue.api.turns import TurnEndParams, TurnEndResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.harness.claude.outcome import Pauses
from pyglue.harness.link.link import Link
from pyglue.jsonrpc import Connection

_CALL_S: Final = 30.0
_REPORT_S: Final = 30.0
"""The longest pause between two reports of a turn's end."""
_PASSING: Final = frozenset(
    {
        *(ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.DISK_FULL),
        *(ErrorCode.INTERNAL, ErrorCode.TOO_MANY, ErrorCode.RATE_LIMITED),
    }
)
"""Refusals of a turn's end that may pass: it is reported again."""
_log = logging.getLogger(__name__)


async def report_end(
    connection: Connection, params: TurnEndParams, *, link: Link, pauses: Pauses
) -> TurnEndResult:
    """Return hived's answer; an empty one if the connection is lost before."""
    for tries in itertools.count(1):
        try:
            return await connection.call(TURN_END, params, timeout=_CALL_S)
        except HiveError as error:
            _log.warning(
                "the end of turn %d was refused: %s", params.turn, error.message
            )
            if error.code not in _PASSING:
                connection.close()  # hived treats a turn that it refuses as lost
            if connection.closed:
                break
            link.say(AgentState.RETRYING, error.message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pauses.after(tries), _REPORT_S)):
                await connection.wait_closed()
    return TurnEndResult()
