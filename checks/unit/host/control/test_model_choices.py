"""The model of an agent: its manifest's or the operator's choice; on a real store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.store import Kit, open_kit, put
from pyglue.api.control import SetModelParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.config import HiveConfig, OperatorLimits
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.control.model_choices import ModelChoices
from pyglue.host.core.agent import Receiver
from pyglue.host.model.relay import RelayHub
from pyglue.names import OPERATOR
from pyglue.redaction.redactor import Redactor
from pyglue.store import agents as agent_rows
from pyglue.store.control import Control


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    opened = await open_kit(tmp_path)
    await opened.agent("alice")
    yield opened
    await opened.store.close()


def choices(kit: Kit, **limits: Any) -> ModelChoices:
    return replace(kit.model_choices, limits=OperatorLimits(**limits))


async def test_another_model_holds_from_the_next_turn_on(kit: Kit) -> None:
    alice = kit.registry.get("alice")
    heard: list[str] = []
    await kit.broker.mailbox.turn_start(Receiver(agent=alice), "haiku")
    kit.transitions.listen(lambda agent: heard.append(agent.model))
    status = await kit.model_choices.choose(
        SetModelParams(agent="alice", model="sonnet"), OPERATOR
    )
    assert (status.active, status.queued, status.override) == (
        "haiku",
        "sonnet",
        "sonnet",
    )
    assert status.switched_by == OPERATOR
    assert heard == ["sonnet"]
    put(alice, control=Control(agent="alice"), turn_model=None)
    await kit.transitions.load()  # a restart later
    assert kit.model_choices.status(alice) == status
    await kit.broker.mailbox.turn_start(Receiver(agent=alice), "sonnet")
    assert kit.model_choices.status(alice).queued is None
    reset = await kit.model_choices.reset("alice", OPERATOR)
    assert (reset.active, reset.queued, reset.override) == ("sonnet", "haiku", None)
    with pytest.raises(HiveError) as caught:
        await kit.model_choices.reset("alice", OPERATOR)
    assert caught.value.code is ErrorCode.CONFLICT


@pytest.mark.parametrize(
    ("model", "limits"),
    [("gpt", {}), ("opus", {"models": ("haiku", "sonnet")})],
)
async def test_a_model_that_is_not_allowed(
    kit: Kit, model: str, limits: dict[str, Any]
) -> None:
    with pytest.raises(HiveError) as caught:
        await choices(kit, **limits).choose(
            SetModelParams(agent="alice", model=model), OPERATOR
        )
    assert caught.value.code is ErrorCode.MODEL_NOT_ALLOWED
    assert kit.registry.get("alice").control.model is None


async def test_the_relay_lets_the_chosen_model_through(
    kit: Kit, tmp_path: Path
) -> None:
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    hub = RelayHub(
        redactor=Redactor(),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=config,
        server_name="x",
    )
    alice = kit.registry.get("alice")
    params = SetModelParams(agent="alice", model="opus")
    await kit.model_choices.choose(params, OPERATOR)
    models = hub.policy(alice, alice.policy()).models
    assert set(models) == {"claude-haiku-5-5", "claude-opus-5-5"}


async def test_a_running_turn_keeps_its_model_and_no_later_one_has_it(
    kit: Kit, tmp_path: Path
) -> None:
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    hub = RelayHub(
        redactor=Redactor(),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=config,
        server_name="x",
    )
    alice = await kit.agent("alice", model="opus")
    hub._send(hub.policy(alice, alice.policy()))
    turn = await kit.broker.mailbox.turn_start(Receiver(agent=alice), "opus")
    params = SetModelParams(agent="alice", model="sonnet")
    await kit.model_choices.choose(params, OPERATOR)
    running = hub.policies["alice"].models
    assert set(running) == {"claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"}
    end = TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
    await kit.broker.mailbox.turn_end(Receiver(agent=alice), end)
    assert set(hub.policies["alice"].models) == {
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
    }


async def test_a_model_that_an_old_hived_believed_is_in_no_policy(
    kit: Kit, tmp_path: Path
) -> None:
    alice = kit.registry.get("alice")
    await kit.store.write(lambda tx: agent_rows.start_turn(tx, "alice", "opus"))
    await kit.transitions.load()
    assert alice.turn_model == "opus"  # shown as the model of the last turn
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    hub = RelayHub(
        redactor=Redactor(),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=config,
        server_name="x",
    )
    assert hub.policy(alice, alice.policy()).models == ("claude-haiku-5-5",)


async def test_a_turn_begins_with_no_model_but_the_chosen_one(kit: Kit) -> None:
    alice = kit.registry.get("alice")
    assert kit.model_choices.next(alice) == "haiku"
    assert kit.model_choices.next(alice, "claude-haiku-5-5") == "haiku"
    with pytest.raises(HiveError, match="uses haiku, not 'opus'") as caught:
        kit.model_choices.next(alice, "opus")
    assert caught.value.code is ErrorCode.MODEL_NOT_ALLOWED
    with pytest.raises(HiveError, match="limits no longer allow haiku"):
        choices(kit, models=("sonnet",)).next(alice, "haiku")
