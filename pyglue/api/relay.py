"""The protocol of hived and the relay on ``relay.sock``.

Listening descriptors of the agents' ``model.sock`` are passed over a second socket,
``relay-fds.sock``; see ``handover``.
"""

from typing import Annotated, ClassVar, Final

from msgspec import Meta

from pyglue.api import trust
from pyglue.api.common import (
    DEFAULT_ACCOUNT,
    AgentName,
    Done,
    Id,
    Method,
    Note,
    Params,
    Result,
)
from pyglue.api.handover import AgentPolicy


class ModelPolicy(AgentPolicy, frozen=True, kw_only=True):
    """The requests that one agent may make; from its pinned manifest and the limits.

    ``models`` are full ids. ``server_tools`` are names such as ``web_search``; a limit
    of None means no limit. While ``halted``, ``count_tokens`` is refused too.
    """

    models: tuple[str, ...]
    server_tools: tuple[str, ...]
    cost_per_day_usd: float | None
    tokens_per_day: int | None = None
    account: str = DEFAULT_ACCOUNT
    """The account that pays for the next requests."""


class AttachResult(Result, frozen=True):
    """The policies of all agents; their descriptors follow on the other socket."""

    policies: tuple[ModelPolicy, ...]


class AttachParams(Params, frozen=True):
    """``open`` are the reservations that this relay has not settled yet.

    Any other open reservation belongs to a dead relay; hived settles it.
    """

    open: tuple[Id, ...] = ()

    TRUST: ClassVar = {"open": trust.RELAY}


ATTACH: Final = Method("attach", AttachParams, AttachResult)
POLICY: Final = Note("policy", ModelPolicy)
"""To the relay: a new or changed policy; it applies from the next request."""


class ReserveParams(Params, frozen=True):
    """Reserve ``cost_usd`` for a request that is about to be sent.

    ``input_tokens`` and ``output_tokens`` are upper bounds of its use.
    """

    agent: AgentName
    model: Annotated[str, Meta(max_length=256)]
    cost_usd: Annotated[float, Meta(ge=0, le=100_000)]
    input_tokens: Annotated[int, Meta(ge=0, le=2**40)] = 0
    output_tokens: Annotated[int, Meta(ge=0, le=2**40)] = 0

    TRUST: ClassVar = {
        "agent": f"{trust.NAME}; the relay identifies it by the request's socket",
        "model": "must be allowed by hived's policy",
        "cost_usd": trust.RELAY,
        "input_tokens": trust.RELAY,
        "output_tokens": trust.RELAY,
    }


class ReserveResult(Result, frozen=True):
    """The reservation's id until it is settled."""

    reservation: int


RESERVE: Final = Method("reserve", ReserveParams, ReserveResult)


class RateWindow(Params, frozen=True):
    """A window of a Claude subscription, as last reported by the model provider.

    ``name`` is ``5h`` or ``7d``; ``used`` is the used share, above 1 when exceeded;
    ``resets_at`` is in seconds since 1970.
    """

    name: Annotated[str, Meta(max_length=16)]
    used: Annotated[float, Meta(ge=0, le=10_000)]
    resets_at: Annotated[float, Meta(ge=0, le=1e12)]
    is_used_up: bool = False
    account: Annotated[str, Meta(max_length=32)] = ""
    """The account; empty if the hive has only one. hived fills it in."""

    TRUST: ClassVar = {
        **dict.fromkeys(("name", "used", "resets_at", "is_used_up"), trust.RELAY),
        "account": "ignored: hived knows whose request it was",
    }

    @property
    def words(self) -> str:
        """Return the usage in words: ``5-hour window 82 % used``."""
        span = {"5h": "5-hour", "7d": "7-day"}.get(self.name, self.name)
        whose = f"{self.account}: " if self.account else ""
        return f"{whose}{span} window {self.used:.0%} used".replace("%", " %")


class SettleParams(Params, frozen=True):
    """The actual use of a request. ``status`` is the HTTP status of its response.

    A request that failed before it used anything settles with zeros.
    ``retry_after_s`` is how long the model provider asked us to back off, and
    ``windows`` are those of the subscription that pays, if one does.
    """

    reservation: Id
    cost_usd: Annotated[float, Meta(ge=0, le=1_000_000)]
    status: int
    input_tokens: Annotated[int, Meta(ge=0, le=2**40)] = 0
    output_tokens: Annotated[int, Meta(ge=0, le=2**40)] = 0
    cache_read_tokens: Annotated[int, Meta(ge=0, le=2**40)] = 0
    cache_write_tokens: Annotated[int, Meta(ge=0, le=2**40)] = 0
    retry_after_s: Annotated[float, Meta(ge=0)] | None = None
    windows: Annotated[tuple[RateWindow, ...], Meta(max_length=8)] = ()
    account: Annotated[str, Meta(max_length=32)] = DEFAULT_ACCOUNT
    """The account that paid: the agent's when the request was sent."""

    TRUST: ClassVar = dict.fromkeys(
        (
            *("reservation", "cost_usd", "status", "input_tokens", "output_tokens"),
            *("cache_read_tokens", "cache_write_tokens", "retry_after_s"),
            *("windows", "account"),
        ),
        trust.RELAY,
    )


SETTLE: Final = Method("settle", SettleParams, Done)
