"""Webhooks: what is not signed, not listed, too much or repeated becomes no message."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from checks.kits.host import forges as sent
from checks.kits.host.forges import Sent
from checks.kits.host.store import Kit
from checks.kits.host.webhooks import EVERY, KINDS, bodies, hooks, params
from pyglue.api.wakeups import WebhookOutcome, WebhookParams
from pyglue.config import OperatorLimits, Quotas
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.messages import forges
from pyglue.limits import MIB, WEBHOOK
from pyglue.store import metrics


async def counted(kit: Kit) -> dict[str, float]:
    """Return how often each outcome was counted for alice."""
    await kit.store.write(lambda _tx: None)  # after what was posted
    found = await kit.store.read(metrics.totals)
    return {one.key: one.total for one in found if one.agent == "alice"}


def unsigned(agent: str) -> WebhookParams:
    return WebhookParams(agent=agent, hook="x", headers={}, body=b"")


def _wrong(one: Sent) -> list[tuple[str, Mapping[str, str], bytes]]:
    (name,) = forges.HEADERS[one.kind].signature[:1]
    names = forges.HEADERS[one.kind].signature
    rest = {key: value for key, value in one.headers.items() if key not in names}
    found: list[tuple[str, Mapping[str, str], bytes]] = [
        ("no signature", rest, one.body),
        ("an empty one", {**rest, name: ""}, one.body),
        ("the prefix alone", {**rest, name: "sha256="}, one.body),
        ("another", {**rest, name: f"sha256={'0' * 64}"}, one.body),
        ("letters", {**rest, name: "sha256=\u00e9\u2028"}, one.body),
        ("SHA-1's name", {**rest, "x-hub-signature": one.headers[name]}, one.body),
    ]
    if one.kind != "gitlab":  # which signs nothing
        found.append(("another body", one.headers, one.body + b" "))
        found.append(("cut", {**rest, name: one.headers[name][:-1]}, one.body))
        bare = sent.signature(one.body, "another secret")
        found.append(("another secret", {**rest, name: bare}, one.body))
    return found


@pytest.mark.parametrize(
    "one",
    [
        sent.github("push", sent.PUSH),
        sent.forgejo("push", sent.FORGEJO_PUSH),
        sent.gitlab("Push Hook", sent.GITLAB_PUSH),
        sent.generic("push", {}),
    ],
    ids=KINDS,
)
async def test_what_is_not_signed_is_refused(
    kit: Kit, tmp_path: Path, one: Sent
) -> None:
    await kit.agent("alice", webhooks=EVERY)
    ours = await hooks(kit, tmp_path)
    for what, headers, body in _wrong(one):
        with pytest.raises(HiveError) as caught:
            await ours.deliver(params(one, headers=dict(headers), body=body))
        assert caught.value.code is ErrorCode.FORBIDDEN, what
    assert await bodies(kit) == []


async def test_who_asks_learns_nothing_and_the_log_says_why(
    kit: Kit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await kit.agent("alice", webhooks={"github": EVERY["github"]})
    await kit.agent("bob")
    one = sent.github("push", sent.PUSH)
    answers = []
    for ours, asked in (
        (await hooks(kit, tmp_path), params(one, hook="x")),
        (await hooks(kit, tmp_path), unsigned("bob")),
        (await hooks(kit, tmp_path), unsigned("a\nb")),
        (await hooks(kit, tmp_path), params(one, body=b"x")),
        (await hooks(kit, tmp_path / "other", secret=None), params(one)),
        (
            await hooks(kit, tmp_path, limits=OperatorLimits(webhooks=False)),
            params(one),
        ),
    ):
        with pytest.raises(HiveError) as caught:
            await ours.deliver(asked)
        answers.append((caught.value.code, caught.value.message))
    assert len(set(answers)) == 1
    with caplog.at_level(logging.WARNING):
        logged = caplog.text
    assert "webhook alice/x does not exist" in logged
    assert "webhook “a\\nb”/x does not exist" in logged
    assert "webhook alice/github: bad signature" in logged
    assert "HOOK_SECRET is not set: run `hive secret set HOOK_SECRET`" in logged
    assert "webhook alice/github is disabled by the limits" in logged


async def test_a_delivery_is_taken_once(kit: Kit, tmp_path: Path) -> None:
    two = {**EVERY, "other": EVERY["github"]}
    await kit.agent("alice", webhooks=two)
    ours = await hooks(kit, tmp_path)
    one = sent.github("push", sent.PUSH)
    assert (await ours.deliver(params(one))).outcome is WebhookOutcome.ACCEPTED
    assert (await ours.deliver(params(one))).outcome is WebhookOutcome.DUPLICATE
    other = await ours.deliver(params(one, hook="other"))  # an address of its own
    assert other.outcome is WebhookOutcome.ACCEPTED
    again = sent.github("push", sent.PUSH, delivery="another")
    assert (await ours.deliver(params(again))).outcome is WebhookOutcome.ACCEPTED
    assert len(await bodies(kit)) == 3
    with pytest.raises(HiveError):
        await ours.deliver(unsigned("alice"))  # by nobody: it is not counted
    assert await counted(kit) == {"webhook:accepted": 3, "webhook:duplicate": 1}
    long_ago = -WEBHOOK.known_s - 1
    await kit.store.write(
        lambda tx: tx.execute("UPDATE webhook_delivery SET at = at + ?", long_ago)
    )
    assert (await ours.deliver(params(one))).outcome is WebhookOutcome.ACCEPTED
    (kept,) = await kit.store.write(
        lambda tx: tx.execute("SELECT count(*) FROM webhook_delivery").fetchone()
    )
    assert kept == 1


@pytest.mark.parametrize(
    ("events", "one", "outcome"),
    [
        (["pull_request"], sent.github("pull_request", sent.PULL_REQUEST), "accepted"),
        (
            ["pull_request.opened"],
            sent.github("pull_request", sent.PULL_REQUEST),
            "accepted",
        ),
        (
            ["pull_request.closed", "push"],
            sent.github("pull_request", sent.PULL_REQUEST),
            "ignored",
        ),
        ([], sent.github("push", sent.PUSH), "ignored"),
        (["*"], sent.github("ping", sent.PING), "ignored"),
        (["pipeline.failed"], sent.gitlab("Pipeline Hook", sent.PIPELINE), "accepted"),
        (["pipeline.success"], sent.gitlab("Pipeline Hook", sent.PIPELINE), "ignored"),
    ],
)
async def test_only_listed_events_wake(
    kit: Kit, tmp_path: Path, events: list[str], one: Sent, outcome: str
) -> None:
    await kit.agent("alice", webhooks={one.kind: {**EVERY[one.kind], "events": events}})
    result = await (await hooks(kit, tmp_path)).deliver(params(one))
    assert result.outcome == outcome
    assert len(await bodies(kit)) == (outcome == "accepted")


async def test_too_many_are_refused_and_the_others_are_not(
    kit: Kit, tmp_path: Path
) -> None:
    await kit.agent("alice", webhooks=EVERY)
    ours = await hooks(kit, tmp_path)
    for number in range(int(WEBHOOK.burst)):
        await ours.deliver(params(sent.github("push", sent.PUSH, delivery=f"{number}")))
    with pytest.raises(HiveError) as caught:
        await ours.deliver(params(sent.github("push", sent.PUSH, delivery="x")))
    assert caught.value.code is ErrorCode.RATE_LIMITED
    await ours.deliver(params(sent.forgejo("push", sent.FORGEJO_PUSH)))


async def test_it_counts_against_the_agent_s_quota(kit: Kit, tmp_path: Path) -> None:
    kit.broker.delivery.quotas = Quotas(messages_mib_per_day=1)
    await kit.agent("alice", webhooks=EVERY)
    ours = await hooks(kit, tmp_path)
    await kit.store.write(lambda tx: kit.broker.delivery.charge(tx, "alice", MIB - 600))
    one = sent.github("push", sent.PUSH)
    with pytest.raises(HiveError) as caught:
        await ours.deliver(params(one))
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert await counted(kit) == {"webhook:refused": 1}
    kit.broker.delivery.quotas = Quotas()  # it was not taken: it may come again
    assert (await ours.deliver(params(one))).outcome is WebhookOutcome.ACCEPTED
