"""Calls to harnesses. Their error messages are quoted as the agent's words.

A harness is one of the agent's programs: its refusals must not look like the hive's
own, nor carry a code or details that the operator's client would act on.
"""

from typing import TypeVar

from pyglue.api.common import Method, Params, Result
from pyglue.errors import ErrorCode, HiveError, PeerError
from pyglue.jsonrpc import Connection
from pyglue.text.display import in_quotes

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


async def ask(
    name: str,
    harness: Connection,
    method: Method[P, R],
    params: P,
    *,
    timeout: float,
) -> R:
    """Call the harness of agent ``name`` and return its result.

    Raises:
        HiveError: ``timeout``; ``unavailable`` if it has disconnected or refuses.
    """
    try:
        return await harness.call(method, params, timeout=timeout)
    except PeerError as error:
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"The harness of {name} refuses {method.name}: {in_quotes(error.message)}",
        ) from None
