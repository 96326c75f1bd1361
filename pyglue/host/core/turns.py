"""The one way to end a running turn: for pauses, cancels, deploys and destroys."""

import asyncio
import contextlib
import logging
from typing import Final

from pyglue.api.agent import CANCEL_TURN, CancelTurnParams
from pyglue.errors import HiveError
from pyglue.host.core.agent import Agent
from pyglue.host.core.asking import ask
from pyglue.host.core.transitions import Transitions

_CALL_S: Final = 10.0
_CANCEL_S: Final = 30.0
"""How long a harness may take to cancel its turn."""
_log = logging.getLogger(__name__)


async def end_turn(
    transitions: Transitions, agent: Agent, *, within: float, reason: str
) -> None:
    """Give the running turn ``within`` seconds to finish, then cancel it.

    Its messages are queued again. If the harness does not end the turn, it is
    disconnected and the turn is lost.
    """
    turn, connection = agent.turn, agent.harness
    if turn is None:
        return
    if within > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await transitions.turn_over(agent)
    if agent.turn != turn:
        return
    transitions.cut_off(agent)
    if connection is None:
        return
    try:
        params = CancelTurnParams(reason=reason)
        await ask(agent.name, connection, CANCEL_TURN, params, timeout=_CALL_S)
        async with asyncio.timeout(_CANCEL_S):
            await transitions.turn_over(agent)
    except (HiveError, TimeoutError) as error:
        _log.warning("%s did not cancel its turn: %s", agent.name, error)
        connection.close()
        if agent.harness is connection:  # do not wait for the connection to close
            transitions.harness_lost(agent)
