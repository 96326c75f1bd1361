"""Webhooks: deliveries from outside that become messages (``hyperhive.webhooks``).

hive-web forwards the raw bytes unparsed, without a session; only this module knows the
secrets. A delivery is checked in this order: the webhook exists, the signature is valid
(constant time, over the raw bytes), the rate. The first two failures get the same
answer, so that nobody can probe for agents' names. A repeated delivery ID is accepted
and dropped, in the transaction that would have written its message.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.messages import MessageKind
from pyglue.api.wakeups import (
    WebhookOutcome,
    WebhookParams,
    WebhookResult,
    WebhookView,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.registry import Registry
from pyglue.host.core.secrets import Secrets
from pyglue.host.core.token_bucket import TokenBucket
from pyglue.host.messages import forges
from pyglue.host.messages.broker import Broker
from pyglue.limits import WEBHOOK
from pyglue.manifest.types import Manifest, Webhook
from pyglue.names import SYSTEM
from pyglue.store import webhooks as rows
from pyglue.store.database import Tx
from pyglue.store.messages import NewMessage
from pyglue.text.display import quoted

_log = logging.getLogger(__name__)
_EVERY: Final = "*"


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """Checks deliveries, and sends them to agents as messages."""

    config: HiveConfig
    registry: Registry
    broker: Broker
    secrets: Secrets
    count: Callable[[str, str], None]
    """Counts a metric of an agent (``Counts.add``)."""
    _rates: dict[tuple[str, str], TokenBucket] = field(default_factory=dict, init=False)
    _checking: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(WEBHOOK.checked_at_once), init=False
    )

    async def deliver(self, params: WebhookParams) -> WebhookResult:
        """Accept one delivery.

        Raises:
            HiveError: ``forbidden`` (no such webhook, or an invalid signature),
                ``rate_limited``, ``too_many`` (the inbox is full), ``disk_full``.
        """
        hook = await self._signed(params)
        self._count(params)
        try:
            result = await self._take(params, hook)
        except HiveError:
            self.count(params.agent, "webhook:refused")
            raise
        self.count(params.agent, f"webhook:{result.outcome.value}")
        return result

    async def _take(self, params: WebhookParams, hook: Webhook) -> WebhookResult:
        happened = await asyncio.to_thread(
            forges.read, hook.kind, params.headers, params.body
        )
        if happened.is_ping or not _wanted(hook, happened):
            return WebhookResult(outcome=WebhookOutcome.IGNORED)
        agent = self.registry.get(params.agent)
        self.registry.check_free_space(agent)
        head = f"Webhook {params.hook} ({hook.kind}): "
        new = NewMessage(
            sender=SYSTEM,
            recipient=agent.name,
            body=f"{head}{happened.text()}",
            kind=MessageKind.EVENT,
        )
        seen = hashlib.sha256(happened.delivery.encode()).hexdigest()

        def make(tx: Tx) -> NewMessage:
            if happened.delivery:
                rows.note(tx, agent.name, params.hook, seen)
            self.broker.delivery.charge(tx, agent.name, len(new.body.encode()))
            return new

        try:
            await self.broker.post_with(agent.name, make)
        except HiveError as error:
            if error.code is not ErrorCode.CONFLICT:
                raise
            return WebhookResult(outcome=WebhookOutcome.DUPLICATE)
        return WebhookResult(outcome=WebhookOutcome.ACCEPTED)

    async def views(self, agent: str, manifest: Manifest) -> tuple[WebhookView, ...]:
        """Return an agent's webhooks, with any problem that prevents their use."""
        known = {name: await self._problem(one) for name, one in _sorted(manifest)}
        base = (
            self.config.web.external_url or f"http://127.0.0.1:{self.config.web.port}"
        )
        return tuple(
            WebhookView(
                name=name,
                kind=one.kind,
                secret=one.secret,
                events=one.events,
                url=f"{base}/hooks/{agent}/{name}",
                problem=known[name],
            )
            for name, one in _sorted(manifest)
        )

    async def _problem(self, hook: Webhook) -> str | None:
        if not self.config.limits.webhooks:
            return "Webhooks are disabled by the operator's limits."
        try:
            await self.secrets.value(hook.secret)
        except HiveError as error:
            return error.message
        return None

    async def _signed(self, params: WebhookParams) -> Webhook:
        """Return the webhook of a delivery; refuse one without a valid signature."""
        agent = self.registry.find(params.agent)
        record = None if agent is None else agent.record
        hook = None if record is None else record.typed.webhooks.get(params.hook)
        what = f"{quoted(params.agent)}/{quoted(params.hook)}"
        if hook is None or not self.config.limits.webhooks:
            why = "is disabled by the limits" if hook else "does not exist"
            _log.warning("refused a delivery: webhook %s %s", what, why)
            raise _refused()
        try:
            secret = await self.secrets.value(hook.secret)
        except HiveError as error:
            _log.warning("refused a delivery for webhook %s: %s", what, error)
            raise _refused() from None
        async with self._checking:
            signed = await asyncio.to_thread(
                forges.is_signed, hook.kind, secret, params.headers, params.body
            )
        if not signed:
            _log.warning("refused a delivery for webhook %s: bad signature", what)
            raise _refused()
        return hook

    def _count(self, params: WebhookParams) -> None:
        key = (params.agent, params.hook)
        new = TokenBucket(WEBHOOK.burst, WEBHOOK.rate)
        if not self._rates.setdefault(key, new).take(1, time.monotonic()):
            raise HiveError(
                ErrorCode.RATE_LIMITED,
                "Too many deliveries for this webhook. Send it again later.",
            )


def _sorted(manifest: Manifest) -> list[tuple[str, Webhook]]:
    return sorted(manifest.webhooks.items())


def _wanted(hook: Webhook, happened: forges.Happened) -> bool:
    return not {_EVERY, *happened.names}.isdisjoint(hook.events)


def _refused() -> HiveError:
    return HiveError(
        ErrorCode.FORBIDDEN,
        "There is no such webhook, or the delivery is not signed with its secret.",
    )
