"""The webhooks of a hive, and how deliveries of ``forges`` are put to them."""

from pathlib import Path
from typing import Any, Final

from checks.kits.host import forges as sent
from checks.kits.host.forges import Sent
from checks.kits.host.store import Kit
from pyglue.api.messages import MessageKind, RecvParams
from pyglue.api.secrets import SecretSetParams
from pyglue.api.wakeups import WebhookParams
from pyglue.config import HiveConfig
from pyglue.host.core.agent import Receiver
from pyglue.host.core.counts import Counts
from pyglue.host.core.secrets import Secrets
from pyglue.host.messages.webhooks import Webhooks
from pyglue.redaction.redactor import Redactor

KINDS: Final = ("github", "forgejo", "gitlab", "generic")

EVERY: Final = {
    kind: {"kind": kind, "secret": "HOOK_SECRET", "events": ["*"]} for kind in KINDS
}


async def hooks(
    kit: Kit, directory: Path, *, secret: str | None = sent.SECRET, **config: Any
) -> Webhooks:
    """Return webhooks, with their secret, of a hive that is configured so."""
    place = str(directory)
    settings = HiveConfig(state_dir=place, runtime_dir=place, **config)
    secrets = Secrets(redactor=Redactor(), config=settings, audit=kit.audit)
    if secret is not None:
        await secrets.set(SecretSetParams(name="HOOK_SECRET", value=secret), "uid 0")
    return Webhooks(
        config=settings,
        registry=kit.registry,
        broker=kit.broker,
        secrets=secrets,
        count=Counts(store=kit.store).add,
    )


def params(one: Sent, *, hook: str | None = None, **changed: Any) -> WebhookParams:
    """Return a delivery as hive-web passes it on."""
    values = {"headers": dict(one.headers), "body": one.body, **changed}
    return WebhookParams(agent="alice", hook=hook or one.kind, **values)


async def bodies(kit: Kit) -> list[str]:
    """Receive as alice; return the texts, which are events of the hive itself."""
    receiver = Receiver(agent=kit.registry.get("alice"))
    got = await kit.broker.mailbox.recv(receiver, RecvParams(max=32))
    assert all(one.sender == "system" for one in got.messages)
    assert all(one.kind is MessageKind.EVENT for one in got.messages)
    return [one.body for one in got.messages]
