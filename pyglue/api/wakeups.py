"""What wakes an agent from outside, as the operator sees it."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from pyglue.api.common import Params, Result
from pyglue.limits import WEBHOOK


class ScheduleView(Result, frozen=True):
    """A schedule of an agent.nix. ``next_at`` are its next three times, as seconds;
    ``times`` are the same as text in its time zone. None: it never occurs again.
    """

    name: str
    at: str
    message: str
    next_at: tuple[float, ...]
    times: tuple[str, ...]


HOOK_HEADERS: Final = (
    "content-type",
    "x-hub-signature-256",
    "x-github-event",
    "x-github-delivery",
    "x-forgejo-signature",
    "x-forgejo-event",
    "x-forgejo-delivery",
    "x-gitea-signature",
    "x-gitea-event",
    "x-gitea-delivery",
    "x-gitlab-token",
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "idempotency-key",
    "x-hook-signature",
    "x-hook-event",
    "x-hook-delivery",
)
"""The headers of a delivery that hived reads, in lower case."""


class WebhookParams(Params, frozen=True):
    """A delivery as received, unverified."""

    agent: Annotated[str, Meta(max_length=64)]
    hook: Annotated[str, Meta(max_length=64)]
    headers: Annotated[dict[str, str], Meta(max_length=len(HOOK_HEADERS))]
    body: Annotated[bytes, Meta(max_length=WEBHOOK.body)]


class WebhookOutcome(StrEnum):
    """The outcome of a signed delivery."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    """Its event is not in the webhook's list."""
    DUPLICATE = "duplicate"
    """Its ID was accepted before."""


class WebhookResult(Result, frozen=True):
    """The outcome of a delivery."""

    outcome: WebhookOutcome


class WebhookView(Result, frozen=True):
    """A webhook of an agent.nix; ``problem`` is why it does not work, if so."""

    name: str
    kind: str
    secret: str
    events: tuple[str, ...]
    url: str
    problem: str | None


class Wakeups(Result, frozen=True):
    """What wakes an agent from outside."""

    schedule: tuple[ScheduleView, ...]
    webhooks: tuple[WebhookView, ...] = ()
