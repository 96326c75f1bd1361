"""Wait for the hive to reach a state, by its events and without polling."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from pyglue.api.common import AgentState, NoParams
from pyglue.api.events import SubscribeParams
from pyglue.api.operator import AGENTS, STATUS, SUBSCRIBE
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient

T = TypeVar("T")

_SILENCE_S: Final = 90.0


def until(
    client: SyncClient,
    look: Callable[[], T | None],
    *,
    what: str,
    silence_s: float = _SILENCE_S,
) -> T:
    """Call ``look`` now and after every event until it finds something.

    ``client`` must be subscribed. ``silence_s`` is the longest silence in seconds.

    Raises:
        HiveError: ``timeout`` or ``unavailable``, with ``what``.
    """
    found = look()
    if found is not None:
        return found
    try:
        for _event in client.notes(timeout=silence_s):
            found = look()
            if found is not None:
                return found
    except HiveError as error:
        raise HiveError(error.code, f"Failed: {what}: {error.message}") from error
    raise HiveError(ErrorCode.UNAVAILABLE, f"Failed: {what}: hived exited.")


def subscribe(client: SyncClient) -> None:
    """Begin to receive events on ``client``."""
    client.call(SUBSCRIBE, SubscribeParams())


def agents_known(client: SyncClient, names: Iterable[str]) -> None:
    """Return when hived has these agents, running or not."""
    wanted = set(names)
    subscribe(client)

    def look() -> bool | None:
        known = {agent.name for agent in client.call(AGENTS, NoParams()).agents}
        for name in sorted(wanted - known):
            for warning in client.call(STATUS, NoParams()).warnings:
                if warning.startswith(f"Could not create {name}:"):
                    raise HiveError(ErrorCode.AGENT_NOT_RUNNING, warning)
        return True if wanted <= known else None

    until(client, look, what=f"the start of {', '.join(sorted(wanted))}")


def agents_idle(client: SyncClient, names: Iterable[str]) -> None:
    """Return when all these agents are idle; ``client`` is subscribed."""
    wanted = set(names)

    def look() -> bool | None:
        agents = client.call(AGENTS, NoParams()).agents
        for agent in agents:
            if agent.name in wanted and agent.state is AgentState.FAILED:
                problem = agent.problem or agent.detail
                raise HiveError(
                    ErrorCode.AGENT_NOT_RUNNING, f"{agent.name} failed: {problem}"
                )
        idle = {
            agent.name
            for agent in agents
            if agent.state is AgentState.IDLE and agent.deployed_commit is not None
        }
        return True if wanted <= idle else None

    until(client, look, what=f"the start of {', '.join(sorted(wanted))}")
