"""A forge delivers to the real dashboard, and the agent gets one message."""

import http.client
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from checks.kits.host import forges
from checks.kits.host.forges import Sent
from checks.kits.host.hive import Hive
from checks.kits.host.shared_hive import shared_hive
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams
from pyglue.api.common import NoParams
from pyglue.api.inbox import MessagesParams
from pyglue.api.manager import AgentParams
from pyglue.api.secrets import SecretParams, SecretSetParams

pytestmark = [
    pytest.mark.needs("nix", "git"),
    pytest.mark.asyncio(loop_scope="module"),
]
hive = shared_hive(peers=True, beside=("web",))
NIX: Final = """
{ ... }:
{
  hyperhive.webhooks.reviews = {
    kind = "github";
    secret = "HOOK_SECRET";
    events = [ "pull_request.opened" ];
  };
  hyperhive.schedule.morning = {
    at = "Mon..Fri 08:00 Europe/Berlin";
    message = "Go.";
  };
}
"""


def deliver(hive: Hive, one: Sent, path: str = "/hooks/alice/reviews") -> Any:
    port = urlsplit(hive.url).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("POST", path, body=one.body, headers=dict(one.headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def test_an_approval_shows_what_would_wake_the_agent(hive: Hive) -> None:
    proposal = await hive.propose("alice", NIX)
    asked = ApprovalParams(id=proposal.approval)
    detail = await hive.operator.call(api.APPROVAL, asked)
    sentences = " ".join(proposal.widens)
    assert "New webhook reviews." in sentences and "New schedule morning." in sentences
    assert "May now be woken by the event pull_request.opened" in sentences
    (hook,), (schedule,) = detail.webhooks, detail.schedule
    assert hook.url.endswith("/hooks/alice/reviews")
    assert hook.problem is not None and "hive secret set HOOK_SECRET" in hook.problem
    assert len(schedule.times) == 3
    assert all(" 08:00 CE" in when for when in schedule.times)
    assert (await hive.approve(proposal)).error is None


async def test_a_signed_delivery_is_one_message(hive: Hive) -> None:
    one = forges.github("pull_request", forges.PULL_REQUEST)
    assert deliver(hive, one)[0] == 403  # the operator has not set the secret yet
    value = SecretSetParams(name="HOOK_SECRET", value=forges.SECRET)
    await hive.operator.call(api.SECRET_SET, value)
    (hook,) = (await hive.operator.call(api.AGENT, AgentParams(agent="alice"))).webhooks
    assert hook.problem is None
    assert deliver(hive, one) == (202, "accepted\n")
    assert deliver(hive, one) == (202, "duplicate\n")
    assert deliver(hive, forges.github("push", forges.PUSH)) == (202, "ignored\n")
    changed = Sent(one.kind, one.headers, one.body + b" ")
    assert deliver(hive, changed)[0] == 403
    assert deliver(hive, one, "/hooks/manager/reviews")[0] == 403
    flow = await hive.operator.call(api.MESSAGES, MessagesParams(agent="alice"))
    found = [m for m in flow.messages if "Webhook reviews" in m.body]
    assert len(found) == 1
    assert "Update the README with new information" in found[0].body


async def test_the_value_is_only_where_the_operator_put_it(hive: Hive) -> None:
    holding = [
        path.relative_to(hive.state).as_posix()
        for path in hive.state.rglob("*")
        if path.is_file() and forges.SECRET.encode() in path.read_bytes()
    ]
    assert holding == ["secrets/HOOK_SECRET"]
    (listed,) = (await hive.operator.call(api.SECRETS, NoParams())).secrets
    assert (listed.name, listed.configured) == ("HOOK_SECRET", False)


async def test_a_missing_secret_is_found_by_the_doctor(hive: Hive) -> None:
    async def said() -> list[str]:
        found = (await hive.operator.call(api.DOCTOR, NoParams())).checks
        return [one.message for one in found if one.name == "webhooks of alice"]

    assert await said() == []
    await hive.operator.call(api.SECRET_REMOVE, SecretParams(name="HOOK_SECRET"))
    (message,) = await said()
    assert "reviews: HOOK_SECRET is not set" in message
