"""Pause and emergency stop against an uncooperative harness.

The harness is a connection that answers nothing or says yes and goes on; the relay's
side of hived, the broker and the store are real.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from checks.kits.host.messages import NOW, WAIT, parks
from checks.kits.host.store import Kit, open_kit, put
from checks.kits.patience import PATIENCE_S
from pyglue.api.agent import CANCEL_TURN
from pyglue.api.common import Done
from pyglue.api.control import PauseParams
from pyglue.api.messages import RecvParams
from pyglue.api.relay import ReserveParams
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.agent import Agent, Receiver
from pyglue.host.model.relay import RelayHub
from pyglue.names import OPERATOR
from pyglue.redaction.redactor import Redactor
from pyglue.store.messages import NewMessage

PEEK = RecvParams(peek=True, max=32)


class Hostile:
    """A harness that is told to cancel its turn, says yes, and goes on."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.closed = False
        self._callbacks: list[Callable[[], None]] = []

    async def call(self, method: object, *_: object, **__: object) -> Done:
        assert method is CANCEL_TURN
        self.told.set()
        return Done()

    def notify(self, *_: object) -> None:
        """It does not listen."""

    def close(self) -> None:
        self.closed = True


class Room:
    """An agent in a turn, its relay policy, and a harness that keeps the turn open."""

    def __init__(self, kit: Kit, hub: RelayHub, alice: Agent) -> None:
        self.kit, self.hub, self.alice = kit, hub, alice
        self.harness = Hostile()
        self.holder = Receiver(agent=alice, harness=True)
        harness: Any = self.harness
        put(alice, harness=harness)

    async def reserve(self) -> int:
        params = ReserveParams(agent="alice", model="claude-haiku-5-5", cost_usd=0.0)
        return (await self.hub._reserve(params)).reservation

    async def mail(self) -> None:
        new = NewMessage(sender=OPERATOR, recipient="alice", body="x")
        await self.kit.broker.post(new)

    async def is_halted(self) -> bool:
        """Whether nothing is reserved, handed out or shown, at relay and hived."""
        assert self.hub.policies["alice"].halted is not None
        for refused, call in (
            (ErrorCode.UNAVAILABLE, self.reserve()),
            (ErrorCode.PAUSED, self.kit.broker.mailbox.recv(self.holder, NOW)),
            (ErrorCode.PAUSED, self.kit.broker.mailbox.recv(self.holder, WAIT)),
            (ErrorCode.PAUSED, self.kit.broker.mailbox.recv(self.holder, PEEK)),
        ):
            with pytest.raises(HiveError) as caught:
                await call
            assert caught.value.code is refused
        return True


@pytest.fixture
def grace_s() -> float:
    return 3600.0


@pytest.fixture
async def room(tmp_path: Path, grace_s: float) -> AsyncIterator[Room]:
    kit = await open_kit(tmp_path, grace_s=grace_s)
    alice = await kit.agent("alice")
    config = HiveConfig(state_dir=str(tmp_path), runtime_dir=str(tmp_path))
    hub = RelayHub(
        redactor=Redactor(),
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        config=config,
        server_name="x",
    )
    hub._send(hub.policy(alice, alice.policy()))
    made = Room(kit, hub, alice)
    await kit.broker.mailbox.turn_start(made.holder, "haiku")
    yield made
    await kit.store.close()


@pytest.mark.parametrize("everyone", [True, False])
async def test_the_emergency_stop_cuts_a_running_turn_off_at_once(
    room: Room, everyone: bool
) -> None:
    await room.reserve()
    await room.mail()
    if everyone:
        await room.kit.controls.pause_all("fire", OPERATOR)
    else:
        pause = PauseParams(agent="alice", cancel=True)
        await room.kit.controls.pause(pause, OPERATOR)
    assert room.alice.turn is not None  # its harness has not ended it
    assert await room.is_halted()
    async with asyncio.timeout(PATIENCE_S):
        await room.harness.told.wait()


async def test_an_open_wait_of_a_running_turn_ends_with_the_emergency_stop(
    room: Room,
) -> None:
    parked = await parks(room.kit, room.holder)
    await room.kit.controls.pause_all("fire", OPERATOR)
    assert (await parked).messages == ()


async def test_a_pause_lets_a_running_turn_go_on_for_its_grace(room: Room) -> None:
    await room.kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    await room.mail()
    assert await room.reserve()
    assert len((await room.kit.broker.mailbox.recv(room.holder, NOW)).messages) == 1
    assert room.hub.policies["alice"].halted is None
    room.kit.transitions.turn_lost(room.alice)  # it ended
    assert await room.is_halted()
    await room.kit.controls.resume("alice", OPERATOR)
    assert room.hub.policies["alice"].halted is None
    assert await room.reserve()


@pytest.mark.parametrize("grace_s", [0.01])
async def test_after_the_grace_a_turn_that_goes_on_is_cut_off_and_ended(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.host.core.turns._CANCEL_S", 0.01)
    await room.kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    async with asyncio.timeout(PATIENCE_S):
        await room.harness.told.wait()
        await room.kit.transitions.turn_over(room.alice)
    assert room.harness.closed
    assert await room.is_halted()


async def test_a_resume_within_the_grace_leaves_the_turn_alone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = asyncio.Event()

    async def turn_over(_agent: Agent) -> None:
        await over.wait()
        raise TimeoutError  # the grace is over, and the turn goes on

    monkeypatch.setattr(room.kit.transitions, "turn_over", turn_over)
    await room.kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    await room.kit.controls.resume("alice", OPERATOR)
    over.set()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*room.kit.controls._endings, return_exceptions=True)
    assert not room.harness.told.is_set()
    assert await room.reserve()


async def test_a_turn_that_began_as_its_agent_was_paused_is_cut_off(room: Room) -> None:
    room.kit.transitions.turn_lost(room.alice)
    await room.kit.controls.pause(PauseParams(agent="alice"), OPERATOR)
    put(room.alice, turn=7)  # it passed the check just before
    room.kit.controls.begun(room.alice)
    assert await room.is_halted()


@pytest.mark.parametrize("everyone", [True, False])
async def test_a_full_disk_does_not_keep_an_agent_going(
    room: Room, monkeypatch: pytest.MonkeyPatch, everyone: bool
) -> None:
    async def full(_fn: object, *, keep: bool) -> None:
        raise HiveError(ErrorCode.DISK_FULL, "The disk is full.")

    monkeypatch.setattr(room.kit.store, "write", full)
    controls = room.kit.controls
    pause = PauseParams(agent="alice", cancel=True)
    with pytest.raises(
        HiveError, match="This is in effect, but could not be stored"
    ) as caught:
        if everyone:
            await controls.pause_all("fire", OPERATOR)
        else:
            await controls.pause(pause, OPERATOR)
    assert caught.value.code is ErrorCode.DISK_FULL
    assert await room.is_halted()


@pytest.mark.parametrize("grace_s", [0.01])
async def test_a_turn_does_not_outlast_a_full_disk_either(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.host.core.turns._CANCEL_S", 0.01)
    room.kit.transitions.on_hold(room.alice, "alice keeps too much.")
    room.kit.controls.space_changed(room.alice)
    async with asyncio.timeout(PATIENCE_S):
        await room.kit.transitions.turn_over(room.alice)
    assert await room.is_halted()
    room.kit.transitions.on_hold(room.alice, None)
    room.kit.controls.space_changed(room.alice)
    assert await room.reserve()


async def test_a_model_that_was_taken_away_is_refused_where_money_is_set_aside(
    room: Room,
) -> None:
    params = ReserveParams(agent="alice", model="claude-opus-5-5", cost_usd=0.0)
    with pytest.raises(
        HiveError, match="may no longer use 'claude-opus-5-5'"
    ) as caught:
        await room.hub._reserve(params)
    assert caught.value.code is ErrorCode.MODEL_NOT_ALLOWED
