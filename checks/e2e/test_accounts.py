"""A used-up subscription, with the real CLI: which agents wait, and for how long."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiohttp import web

from checks.kits.host.hive import Hive, running_hive, script
from pyglue.api import operator as api
from pyglue.api.accounts import SetAccountParams
from pyglue.api.common import NoParams
from pyglue.api.control import BlockReason
from pyglue.cli.local.settings import LocalAccounts, LocalCredential
from pyglue.config import Credential
from pyglue.demo.answers import error
from pyglue.demo.scripted_model import ScriptedModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]


class Provider(ScriptedModel):
    """Its account is used up ``after_s`` from the first request until the reset."""

    after_s: int = 0
    resets_at: int = 0
    refused: int = 0
    credentials: set[str]

    def use_up(self, after_s: int) -> None:
        """Begin anew: the next request finds the account used up for so long."""
        self.after_s, self.resets_at, self.refused = after_s, 0, 0
        self.credentials = set()

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        self.credentials.add(request.headers.get("authorization", ""))
        if not self.resets_at:
            self.resets_at = int(time.time()) + self.after_s
        if time.time() >= self.resets_at:
            return await super()._messages(request)
        self.refused += 1
        begin = "anthropic-ratelimit-unified-5h"
        headers = {
            f"{begin}-status": "rejected",
            f"{begin}-utilization": "1.0",
            f"{begin}-reset": str(self.resets_at),
        }
        return error(429, "rate_limit_error", "The account is used up.", headers)


@dataclass
class Setup:
    """A hive with the account ``plan``, a subscription, and who answers for it."""

    hive: Hive
    provider: Provider

    async def use(self, agent: str, account: str | None) -> None:
        params = SetAccountParams(agent=agent, account=account)
        await self.hive.operator.call(api.SET_ACCOUNT, params)

    async def waits(self, agent: str) -> float:
        """Return until when the agent waits for the provider, once it has no turn."""

        async def look() -> float | None:
            now = await self.hive.agent(agent)
            found = now.blocked
            limited = found and found.reason is BlockReason.RATE_LIMITED
            return found.until_at if found and limited and now.turn is None else None

        return await self.hive.until(look, f"{agent} that waits", every=0.2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setup(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setup]:
    provider = Provider()
    await provider.start()
    plan = LocalCredential(Credential.SUBSCRIPTION, "token", provider.address)
    try:
        accounts = LocalAccounts(all={"plan": plan})
        room = tmp_path_factory.mktemp("accounts")
        async with running_hive(room, accounts=accounts) as hive:
            yield Setup(hive, provider)
    finally:
        await provider.stop()


def answer(body: str) -> str:
    said = {"to": "operator", "body": body}
    return script({"tool": "mcp__hive__send", "input": said}, {"text": "done"})


async def test_it_waits_until_the_window_resets(setup: Setup) -> None:
    setup.provider.use_up(after_s=15)
    await setup.use("alice", "plan")
    await setup.hive.send("alice", answer("after the reset"))
    await setup.hive.answer("alice", "after the reset")
    assert time.time() >= setup.provider.resets_at
    assert setup.provider.refused == 1
    await setup.hive.idle("alice")


async def test_who_is_on_a_used_up_subscription_knows_before_it_starts(
    setup: Setup,
) -> None:
    hive, provider = setup.hive, setup.provider
    provider.use_up(after_s=3600)
    for agent in ("alice", "manager"):
        await setup.use(agent, "plan")
    await hive.send("alice", answer("paid by another"))
    until = await setup.waits("alice")
    assert abs(until - provider.resets_at) < 60
    assert abs(await setup.waits("manager") - until) < 60
    refused = provider.refused  # the manager may have had a turn about alice's deploy
    (window,) = (await hive.operator.call(api.STATUS, NoParams())).windows
    assert window.words == "plan: 5-hour window 100 % used"
    assert int(window.resets_at) == provider.resets_at

    await hive.kill_hived()
    await hive.send("manager", answer("not yet"))
    assert abs(await setup.waits("manager") - until) < 60
    await setup.use("alice", None)
    await hive.answer("alice", "paid by another")
    manager = await hive.agent("manager")
    assert manager.inbox >= 1 and manager.turn is None
    assert (provider.refused, provider.credentials) == (refused, {"Bearer token"})
