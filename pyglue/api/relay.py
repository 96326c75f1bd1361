"""What hived and the relay say to each other on ``relay.sock``.

Listening descriptors of the agents' ``model.sock`` travel beside it, over the
SEQPACKET socket ``relay-fds.sock``: one datagram an agent, a JSON ``Listener``
with exactly one descriptor.
"""

from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import (
    AgentName,
    Done,
    Id,
    Method,
    NoParams,
    Note,
    Params,
    Result,
)


class ModelPolicy(Params, frozen=True):
    """What one agent may ask of the model; from its pinned manifest and the operator.

    ``models`` are full ids. ``server_tools`` are names such as ``web_search``;
    ``cost_per_day_usd`` None means no limit.
    """

    agent: AgentName
    models: tuple[str, ...]
    server_tools: tuple[str, ...]
    cost_per_day_usd: float | None


class Listener(Params, frozen=True):
    """The JSON beside a descriptor: whose socket it is."""

    agent: AgentName


class AttachResult(Result, frozen=True):
    """The policies of all agents; their descriptors follow on the other socket."""

    policies: tuple[ModelPolicy, ...]


ATTACH: Final = Method("attach", NoParams, AttachResult)
POLICY: Final = Note("policy", ModelPolicy)
"""Down: an agent's policy is new or changed; it holds from the next request on."""


class DetachParams(Params, frozen=True):
    """Down: stop listening for this agent."""

    agent: AgentName


DETACH: Final = Note("detach", DetachParams)


class ReserveParams(Params, frozen=True):
    """Set ``cost_usd`` aside for a request that is about to go up."""

    agent: AgentName
    model: Annotated[str, Meta(max_length=256)]
    cost_usd: Annotated[float, Meta(ge=0, le=1000)]


class ReserveResult(Result, frozen=True):
    """Names the reservation until it is settled."""

    reservation: int


RESERVE: Final = Method("reserve", ReserveParams, ReserveResult)


class SettleParams(Params, frozen=True):
    """What a request really used. ``status`` is the HTTP status that came back.

    A request that failed before anything was used settles with zeros.
    """

    reservation: Id
    cost_usd: Annotated[float, Meta(ge=0)]
    status: int
    input_tokens: Annotated[int, Meta(ge=0)] = 0
    output_tokens: Annotated[int, Meta(ge=0)] = 0
    cache_read_tokens: Annotated[int, Meta(ge=0)] = 0
    cache_write_tokens: Annotated[int, Meta(ge=0)] = 0


SETTLE: Final = Method("settle", SettleParams, Done)
