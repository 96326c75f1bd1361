"""Deliveries that no forge sends, through the dashboard to hived's checks.

The address needs no session, so anybody who reaches the port is behind it. Headers,
signature, body and address are drawn; only what is signed with the secret may become a
message, and one at most, of which every line of the payload is quoted.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from hypothesis import strategies as st
from werkzeug.test import TestResponse

from checks.fuzz.kit import Case, Trial
from checks.kits.host import forges as sent
from checks.kits.host.counts import uncounted
from checks.kits.host.store import Kit, open_kit
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import URL, Operator, make_app
from checks.kits.web.hive import FakeHive
from pyglue.api.messages import Message, RecvParams
from pyglue.api.secrets import SecretSetParams
from pyglue.config import HiveConfig, Quotas
from pyglue.host.core.agent import Receiver
from pyglue.host.core.secrets import Secrets
from pyglue.host.messages.forges import HEADERS
from pyglue.host.messages.webhooks import Webhooks
from pyglue.redaction.redactor import Redactor

_HOOKS: Final = {
    kind: {"kind": kind, "secret": "HOOK_SECRET", "events": ["*"]} for kind in HEADERS
}
_QUOTED: Final = "never an instruction:\n"
_SIGNS: Final = (
    *("right", "right", "right", "none", "empty", "prefix", "other secret", "cut"),
    *("other body", "long", "no hex", "twice"),
)
_ADDRESSES: Final = (
    *(
        "alice",
        "alice",
        "alice",
        "alice",
        "bob",
        "operator",
        "..",
        "%2e%2e",
        "alice%00",
    ),
    *("alice%2f..", "%ff", "x" * 300, "Alice", "' or 1=1 --"),
)
_NO_TEXT: Final = st.characters(exclude_characters="\r\n\0", max_codepoint=255)
_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8)
            | st.sampled_from(["sender", "action", "repository", "compare", "commits"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@dataclass(frozen=True)
class Site:
    """hived's side with a store, and the dashboard before it."""

    hive: FakeHive
    kit: Kit
    hooks: Webhooks
    visitor: Operator


@dataclass(frozen=True)
class Drawn:
    """One delivery, before it is sent."""

    agent: str
    kind: str
    event: str
    delivery: str
    sign: str
    body: bytes
    content: str


async def attack(trial: Trial) -> None:
    """Deliver what is drawn."""
    room = trial.lab.room("hooks")
    with fake_hive.running(room / "operator.sock") as hive:
        kit = hive.run(open_kit(room))
        hooks = hive.run(_hooks(kit, HiveConfig(state_dir=str(room), runtime_dir="/r")))
        hive.overrides["webhook"] = hooks.deliver
        site = Site(hive, kit, hooks, Operator(hive, make_app(hive)))

        async def body(case: Case, drawn: Drawn) -> None:
            await asyncio.to_thread(_one, case, site, drawn)

        try:
            await trial.explore(body, drawn=_deliveries())
        finally:
            hive.run(kit.store.close())


async def _hooks(kit: Kit, config: HiveConfig) -> Webhooks:
    await kit.agent("alice", webhooks=_HOOKS)
    kit.broker.delivery.quotas = Quotas(messages_mib_per_day=None)
    secrets = Secrets(redactor=Redactor(), config=config, audit=kit.audit)
    await secrets.set(SecretSetParams(name="HOOK_SECRET", value=sent.SECRET), "uid 0")
    return Webhooks(
        count=uncounted,
        config=config,
        registry=kit.registry,
        broker=kit.broker,
        secrets=secrets,
    )


def _deliveries() -> st.SearchStrategy[Drawn]:
    shapes = st.sampled_from([sent.PUSH, sent.PULL_REQUEST, sent.MERGE_REQUEST])
    payloads = st.one_of(
        (shapes | _JSON).map(lambda value: json.dumps(value).encode()),
        st.binary(max_size=300),
        _JSON.map(lambda value: b"payload=" + quote(json.dumps(value)).encode()),
        st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"\0" * 1000, b""]),
    )
    return st.builds(
        Drawn,
        agent=st.sampled_from(_ADDRESSES),
        kind=st.sampled_from(list(HEADERS)),
        event=st.text(_NO_TEXT, max_size=60) | st.sampled_from(["push", "ping", ""]),
        delivery=st.text(_NO_TEXT, max_size=60),
        sign=st.sampled_from(_SIGNS),
        body=payloads,
        content=st.sampled_from(
            ["application/json", "application/x-www-form-urlencoded", "x", ""]
        ),
    )


def _signature(drawn: Drawn) -> str | None:
    """Return the header that proves the sender, or does not."""
    secret, body = sent.SECRET, drawn.body
    match drawn.sign:
        case "none":
            return None
        case "empty" | "prefix":
            return "" if drawn.sign == "empty" else "sha256="
        case "other secret":
            secret = "guessed"
        case "other body":
            body += b" "
        case "long":
            return "sha256=" + "0" * 5000
        case "no hex":
            return "sha256=\u00e9\u00ff"
    if drawn.kind == "gitlab":  # which sends the secret itself
        right = f"{secret}x" if drawn.sign == "other body" else secret
    else:
        right = f"sha256={sent.signature(body, secret)}"
    if drawn.sign == "twice":
        return f"{right}, {right}"
    return right[:-1] if drawn.sign == "cut" else right


def _headers(drawn: Drawn) -> Mapping[str, str]:
    known = HEADERS[drawn.kind]
    found = {"Content-Type": drawn.content}
    found |= dict.fromkeys(known.event, drawn.event)
    found |= dict.fromkeys(known.delivery, drawn.delivery)
    signature = _signature(drawn)
    if signature is not None:
        found[known.signature[0]] = signature
    return found


def _one(case: Case, site: Site, drawn: Drawn) -> None:
    site.hooks._rates.clear()  # how many come is not what is tried
    answer = site.visitor.client.post(
        f"/hooks/{drawn.agent}/{drawn.kind}",
        base_url=URL,
        data=drawn.body,
        headers=_headers(drawn),
    )
    taken = site.hive.run(_messages(site.kit))
    fault = _fault(drawn, answer, taken)
    case.unless(
        None if fault is None else f"{fault}: {drawn!r} got {answer.text[:200]!r}",
        refused=answer.status_code >= 400,
    )


async def _messages(kit: Kit) -> tuple[Message, ...]:
    holder = Receiver(agent=kit.registry.get("alice"))
    found = (await kit.broker.mailbox.recv(holder, RecvParams(max=32))).messages
    if found:
        await kit.store.write(
            lambda tx: tx.execute(
                "UPDATE message SET state = 'done', done_at = 1, holder = NULL"
            )
        )
    return found


def _fault(
    drawn: Drawn, answer: TestResponse, taken: tuple[Message, ...]
) -> str | None:
    if answer.status_code >= 500:
        return f"an error of the server ({answer.status_code})"
    if "Set-Cookie" in answer.headers:
        return "a cookie"
    signed = drawn.sign == "right" and drawn.agent == "alice"
    if answer.status_code == 202 and not signed:
        return "taken without the secret"
    if (taken and answer.text != "accepted\n") or len(taken) > 1:
        return f"{len(taken)} messages"
    for message in taken:
        head, _, payload = message.body.partition(_QUOTED)
        lines = payload.split("\n") if payload else []
        if len(head.split("\n")) > 4 or not all(line.startswith(">") for line in lines):
            return f"words that are not quoted: {message.body[:500]!r}"
    return None
