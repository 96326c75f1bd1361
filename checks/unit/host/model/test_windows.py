"""A subscription's windows in hived: shown until they reset, and respected by all."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from checks.kits.host.store import Kit, open_kit, put
from pyglue.api.accounts import SetAccountParams
from pyglue.api.common import DEFAULT_ACCOUNT, AgentState
from pyglue.api.control import BlockReason
from pyglue.api.questions import QuestionView
from pyglue.api.relay import RateWindow, ReserveParams, SettleParams
from pyglue.clock.wall_clock import moment
from pyglue.config import Account, Credential, HiveConfig, RelayConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.accounts import Accounts
from pyglue.host.control.credit import Credit
from pyglue.host.core.accounts import has_estimates, is_estimate
from pyglue.host.core.agent import Agent
from pyglue.host.model.relay import RelayHub
from pyglue.names import OPERATOR
from pyglue.redaction.redactor import Redactor
from pyglue.store import questions, usage

NAMES = ("alice", "bob", "carol")
TEAM = Account(credential=Credential.SUBSCRIPTION)
RELAY = RelayConfig(others={"team": TEAM})


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    for name in ("alice", "bob"):
        await opened.agent(name)
    yield opened
    await opened.store.close()


@pytest.fixture
def hub(kit: Kit, tmp_path: Path) -> RelayHub:
    return hub_of(kit, tmp_path)


def hub_of(kit: Kit, tmp_path: Path) -> RelayHub:
    return RelayHub(
        redactor=Redactor(),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=HiveConfig(
            state_dir=str(tmp_path), runtime_dir=str(tmp_path), relay=RELAY
        ),
        server_name="x",
    )


async def settle(
    kit: Kit,
    hub: RelayHub,
    status: int,
    wait: float | None,
    *windows: RateWindow,
    account: str = DEFAULT_ACCOUNT,
    cost: float = 0.0,
) -> None:
    reserve = ReserveParams(agent="alice", model="haiku", cost_usd=0.0)
    number = await kit.store.write(lambda tx: usage.reserve(tx, reserve, None))
    params = SettleParams(
        reservation=number,
        cost_usd=cost,
        status=status,
        retry_after_s=wait,
        windows=windows,
        account=account,
    )
    await hub._settle(params)


def reason(kit: Kit, agent: Agent, relay: RelayConfig = RELAY) -> BlockReason | None:
    found = replace(kit.controls, relay=relay).blocked(agent)
    return None if found is None else found.reason


def window(name: str, used: float, ahead: float, *, up: bool = False) -> RateWindow:
    return RateWindow(
        name=name, used=used, resets_at=time.time() + ahead, is_used_up=up
    )


async def test_windows_are_shown_until_they_reset(kit: Kit, hub: RelayHub) -> None:
    await settle(kit, hub, 200, None, window("5h", 0.3, 3600), window("7d", 0.1, -1))
    assert [(w.name, w.used) for w in hub.windows()] == [("5h", 0.3)]
    await settle(kit, hub, 200, None, window("5h", 0.4, 3600))
    assert [w.used for w in hub.windows()] == [0.4]
    await settle(kit, hub, 200, None)
    assert [w.words for w in hub.windows()] == ["default: 5-hour window 40 % used"]
    assert reason(kit, kit.registry.get("bob")) is None


async def test_a_used_up_window_holds_for_every_agent(kit: Kit, hub: RelayHub) -> None:
    await settle(kit, hub, 429, 600.0, window("5h", 1.0, 600, up=True))
    for name in ("alice", "bob"):
        agent = kit.registry.get(name)
        assert reason(kit, agent) is BlockReason.RATE_LIMITED
        assert agent.retry_at is not None
        assert 0 < agent.retry_at.left(moment()) <= 600


async def test_another_limit_holds_for_its_agent_alone(kit: Kit, hub: RelayHub) -> None:
    await settle(kit, hub, 429, 600.0, window("5h", 0.5, 600))
    assert reason(kit, kit.registry.get("alice")) is BlockReason.RATE_LIMITED
    assert reason(kit, kit.registry.get("bob")) is None


async def test_a_long_window_holds_until_it_resets(kit: Kit, hub: RelayHub) -> None:
    """The provider's other waits hold for a day at most."""
    three_days, alice = 3 * 86400.0, kit.registry.get("alice")
    await settle(kit, hub, 429, three_days, window("7d", 1.0, three_days, up=True))
    assert alice.retry_at is not None
    assert alice.retry_at.left(moment()) > 2 * 86400
    kit.transitions.retry_now(alice)
    await settle(kit, hub, 429, three_days)
    assert alice.retry_at is not None
    assert alice.retry_at.left(moment()) <= 86400


async def test_who_starts_later_waits_too_also_for_another_hived(
    kit: Kit, hub: RelayHub, tmp_path: Path
) -> None:
    await settle(kit, hub, 429, 600.0, window("5h", 1.0, 600, up=True))
    for name, again in (("carol", hub), ("alice", hub_of(kit, tmp_path))):
        agent = kit.registry.find(name) or await kit.agent(name)
        kit.transitions.retry_now(agent)
        await again.open()
        try:
            again.config.layout.run(name).mkdir(parents=True, exist_ok=True)
            again.add(agent, agent.policy())
            assert reason(kit, agent) is BlockReason.RATE_LIMITED
            assert [w.name for w in again.windows()] == ["5h"]
        finally:
            again.close()


async def test_a_window_that_has_reset_holds_nobody(
    kit: Kit, hub: RelayHub, tmp_path: Path
) -> None:
    await settle(kit, hub, 429, 600.0, window("5h", 1.0, -1, up=True))
    again = hub_of(kit, tmp_path)
    await again.open()
    try:
        assert (again.windows(), again.used_up_until(DEFAULT_ACCOUNT)) == ((), None)
    finally:
        again.close()


# --- several accounts -----------------------------------------------------------------


@pytest.fixture
def accounts(kit: Kit, hub: RelayHub) -> Accounts:
    return Accounts(
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        controls=kit.controls,
        audit=kit.controls.audit,
        config=RELAY,
        windows_of=hub.windows_of,
        used_up_until=hub.used_up_until,
    )


async def choose(accounts: Accounts, agent: str, account: str | None) -> None:
    params = SetAccountParams(agent=agent, account=account)
    await accounts.choose(params, OPERATOR)


async def test_only_agents_of_the_account_that_is_used_up_wait(
    kit: Kit, hub: RelayHub, accounts: Accounts
) -> None:
    await kit.agent("carol")
    await choose(accounts, "alice", "team")
    await choose(accounts, "carol", "team")
    up = window("5h", 1.0, 600, up=True)
    await settle(kit, hub, 429, 600.0, up, account="team")
    found = {name: reason(kit, kit.registry.get(name)) for name in NAMES}
    limited = BlockReason.RATE_LIMITED
    assert found == {"alice": limited, "bob": None, "carol": limited}
    assert [w.words for w in hub.windows()] == ["team: 5-hour window 100 % used"]
    await choose(accounts, "carol", None)  # another one pays: it goes on at once
    assert reason(kit, kit.registry.get("carol")) is None
    await choose(accounts, "bob", "team")  # and who comes to it waits
    assert reason(kit, kit.registry.get("bob")) is limited


async def test_a_limit_of_the_account_before_is_not_the_new_one_s(
    kit: Kit, hub: RelayHub, accounts: Accounts
) -> None:
    """The request was sent before the operator chose another account."""
    await choose(accounts, "alice", "team")
    up = window("5h", 1.0, 600, up=True)
    await settle(kit, hub, 429, 600.0, up)
    assert reason(kit, kit.registry.get("alice")) is None
    assert reason(kit, kit.registry.get("bob")) is BlockReason.RATE_LIMITED


async def test_what_an_account_paid_stays_its_own(
    kit: Kit, hub: RelayHub, accounts: Accounts
) -> None:
    """Whoever pays for the agent later."""
    await settle(kit, hub, 200, None, cost=1.0)
    await choose(accounts, "alice", "team")
    await settle(kit, hub, 200, None, account="team", cost=0.25)
    old = ReserveParams(agent="alice", model="haiku", cost_usd=0.5)
    await kit.store.write(lambda tx: usage.reserve(tx, old, None))
    found = [(one.name, one.cost_today_usd) for one in (await accounts.all()).accounts]
    assert found == [("default", 1.5), ("team", 0.25)]
    await kit.store.write(lambda tx: usage.reserve(tx, old, None, "team"))
    await kit.store.write(lambda tx: hub._settle_orphans(tx, ()))  # a lost relay's
    found = [(one.name, one.cost_today_usd) for one in (await accounts.all()).accounts]
    assert found == [("default", 1.5), ("team", 0.75)]


async def test_the_relay_hears_of_the_choice_and_it_outlasts_a_restart(
    kit: Kit, hub: RelayHub, accounts: Accounts
) -> None:
    alice = kit.registry.get("alice")
    assert hub.policy(alice, alice.policy()).account == DEFAULT_ACCOUNT
    await choose(accounts, "alice", "team")
    assert hub.policy(alice, alice.policy()).account == "team"
    assert kit.audited() == [(OPERATOR, "account", "alice")]
    await kit.transitions.load()
    assert alice.control.account == "team"
    assert is_estimate(alice, RELAY)
    assert not is_estimate(kit.registry.get("bob"), RELAY)
    assert has_estimates(RELAY)
    assert not has_estimates(RelayConfig())
    default, team = (await accounts.all()).accounts
    assert (default.name, default.is_default, default.agents) == (
        "default",
        True,
        ("bob",),
    )
    assert (team.agents, team.is_estimate) == (("alice",), True)


@pytest.mark.parametrize(
    ("agent", "account", "code"),
    [
        ("alice", "other", ErrorCode.NOT_FOUND),
        ("nobody", "team", ErrorCode.NOT_FOUND),
        ("alice", None, ErrorCode.CONFLICT),
    ],
)
async def test_a_choice_that_is_refused(
    kit: Kit, accounts: Accounts, agent: str, account: str | None, code: ErrorCode
) -> None:
    with pytest.raises(HiveError) as refused:
        await choose(accounts, agent, account)
    assert refused.value.code is code
    assert kit.registry.get("alice").control.account is None


async def test_an_account_that_is_not_configured_any_more_blocks_its_agent(
    kit: Kit, accounts: Accounts
) -> None:
    """Nobody else pays instead."""
    await choose(accounts, "alice", "team")
    found = kit.controls.blocked(kit.registry.get("alice"))
    assert found is not None and found.reason is BlockReason.NO_ACCOUNT
    assert "hive account alice" in found.remedy
    with pytest.raises(HiveError, match="no longer in the host's configuration"):
        kit.controls.check_turn(kit.registry.get("alice"))


async def test_what_another_account_answers_does_not_bring_back_the_credit(
    kit: Kit, accounts: Accounts
) -> None:
    credit = Credit(
        transitions=kit.transitions,
        registry=kit.registry,
        questions=kit.questions,
        controls=kit.controls,
        audit=kit.controls.audit,
        config=RELAY,
    )
    await choose(accounts, "alice", "team")
    alice = kit.registry.get("alice")
    put(alice, state=AgentState.NO_CREDIT)
    await credit.used_up(alice, "no credit")
    assert "credit of the account team is used up" in (await asked(kit)).question
    await credit.works(7, DEFAULT_ACCOUNT)
    assert (await asked(kit)).answered_at is None
    await credit.works(8, "team")
    assert (await asked(kit)).answered_at is not None


async def asked(kit: Kit) -> QuestionView:
    return (await kit.store.read(questions.recent))[0]
