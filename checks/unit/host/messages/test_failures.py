"""Which messages a failed turn counts against, and how others bypass them."""

from pathlib import Path

import pytest

from checks.kits.host.store import Kit, open_kit
from pyglue.api.messages import RecvParams
from pyglue.api.turns import TurnEndParams, TurnOutcome
from pyglue.config import MessageLimits
from pyglue.host.core.agent import Receiver
from pyglue.names import OPERATOR
from pyglue.store import leases, messages
from pyglue.store.messages import NewMessage
from pyglue.store.migrations import m0009_failures

LIMITS = MessageLimits(deliveries_max=2)
NOW = RecvParams(max=32, had=())


async def kit_with(tmp_path: Path, *bodies: str) -> Kit:
    kit = await open_kit(tmp_path, LIMITS)
    await kit.agent("bob")
    for body in bodies:
        await post(kit, body)
    return kit


async def post(kit: Kit, body: str) -> None:
    await kit.broker.post(NewMessage(sender=OPERATOR, recipient="bob", body=body))


def harness(kit: Kit) -> Receiver:
    return Receiver(agent=kit.registry.get("bob"), harness=True)


async def given(kit: Kit, bob: Receiver) -> list[str]:
    got = (await kit.broker.mailbox.recv(bob, NOW)).messages
    return [message.body for message in got]


async def letters(kit: Kit) -> list[str]:
    found = await kit.store.read(lambda reader: messages.peek(reader, OPERATOR, 32))
    return [message.body for message in found]


async def end(kit: Kit, bob: Receiver, turn: int, *, blames: bool = True) -> None:
    params = TurnEndParams(
        turn=turn,
        outcome=TurnOutcome.FAILED,
        reason=f"turn {turn} broke",
        blames_messages=blames,
    )
    await kit.broker.mailbox.turn_end(bob, params)


async def finish(kit: Kit, bob: Receiver, turn: int) -> None:
    await kit.broker.mailbox.turn_end(
        bob, TurnEndParams(turn=turn, outcome=TurnOutcome.OK)
    )


async def test_a_message_that_kills_the_agent_takes_no_other_with_it(
    tmp_path: Path,
) -> None:
    harmless = [f"harmless {n}" for n in range(9)]
    kit = await kit_with(tmp_path, *harmless[:4], "deadly", *harmless[4:])
    done: list[str] = []
    for _ in range(40):  # each harness is a new one: it remembers nothing
        bob = harness(kit)
        got = await given(kit, bob)
        if not got:
            break
        turn = await kit.broker.mailbox.turn_start(bob, "haiku")
        if "deadly" in got:
            kit.disconnect(bob)
        else:
            await finish(kit, bob, turn)
            done += got
    assert sorted(done) == harmless
    (letter,) = await letters(kit)
    assert "dropped: 2 turns over it failed. It was delivered 3 times." in letter
    assert letter.count(leases.GONE) == 3
    assert letter.count("not counted") == 1  # the one of all ten
    assert "> deadly" in letter
    await kit.store.close()


async def test_fresh_mail_goes_together_up_to_the_first_that_goes_alone(
    tmp_path: Path,
) -> None:
    kit = await kit_with(tmp_path, "suspect")
    bob = harness(kit)
    await given(kit, bob)
    await end(kit, bob, await kit.broker.mailbox.turn_start(bob, "haiku"))
    for body in ("a", "b"):
        await post(kit, body)
    assert await given(kit, bob) == ["suspect"]
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    assert await given(kit, bob) == ["a", "b"]  # asked for within the turn
    await end(kit, bob, turn)
    assert await given(kit, bob) == ["a"]
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    assert await given(kit, bob) == []  # b goes alone by now, so into no turn
    await finish(kit, bob, turn)
    assert await given(kit, bob) == ["b"]
    (letter,) = await letters(kit)  # only what was alone from the start
    assert "> suspect" in letter
    assert letter.count("broke") == 2
    await kit.store.close()


async def test_a_crash_of_hived_sends_its_messages_alone_and_blames_none(
    tmp_path: Path,
) -> None:
    kit = await kit_with(tmp_path, "one", "two")
    for _ in range(2 * LIMITS.deliveries_max):
        bob = harness(kit)
        assert "one" in await given(kit, bob)
        await kit.broker.mailbox.turn_start(bob, "haiku")
        await kit.store.close()
        kit = await open_kit(tmp_path, LIMITS)
        await kit.store.write(leases.release_all)
    assert await given(kit, harness(kit)) == ["one"]
    assert await letters(kit) == []
    await kit.store.close()


async def test_what_no_turn_began_with_is_not_to_blame(tmp_path: Path) -> None:
    kit = await kit_with(tmp_path, "one", "two")
    for _ in range(2 * LIMITS.deliveries_max):
        bob = harness(kit)
        assert await given(kit, bob) == ["one", "two"]
        kit.disconnect(bob)
    await kit.store.close()


async def test_an_agent_that_is_stopped_blames_no_message(tmp_path: Path) -> None:
    kit = await kit_with(tmp_path, "one", "two")
    await kit.transitions.wanted(kit.registry.get("bob"), False)
    for _ in range(2 * LIMITS.deliveries_max):
        bob = harness(kit)
        assert await given(kit, bob) == ["one", "two"]
        await kit.broker.mailbox.turn_start(bob, "haiku")
        kit.disconnect(bob)
    await kit.store.close()


async def test_a_fault_of_others_counts_against_no_message(tmp_path: Path) -> None:
    kit = await kit_with(tmp_path, "one", "two")
    bob = harness(kit)
    for _ in range(2 * LIMITS.deliveries_max):
        assert await given(kit, bob) == ["one", "two"]
        turn = await kit.broker.mailbox.turn_start(bob, "haiku")
        await end(kit, bob, turn, blames=False)
    await kit.store.close()


async def test_a_dead_letter_has_the_reason_of_each_failure(tmp_path: Path) -> None:
    kit = await kit_with(tmp_path, "deadly")
    bob = harness(kit)
    await given(kit, bob)
    turn = await kit.broker.mailbox.turn_start(bob, "haiku")
    await end(kit, bob, turn)
    await given(kit, bob)
    await kit.broker.mailbox.turn_start(bob, "haiku")
    kit.disconnect(bob)
    why = "It was killed by its memory limit."
    kit.transitions.crashed(kit.registry.get("bob"), why, why)
    assert await given(kit, harness(kit)) == []
    (letter,) = await letters(kit)
    reasons = [line for line in letter.splitlines() if line.startswith("- ")]
    assert [f"turn {turn} broke" in reasons[0], why in reasons[1]] == [True, True]
    await kit.store.close()


@pytest.mark.parametrize("failures", [0, 1])
async def test_what_failed_before_it_was_noted_why_goes_alone(
    tmp_path: Path, failures: int
) -> None:
    kit = await kit_with(tmp_path, "one", "two")
    await kit.store.write(
        lambda tx: tx.execute("UPDATE message SET failures = ?", failures)
    )
    await kit.store.close()
    kit = await open_kit(tmp_path, LIMITS)
    mark = m0009_failures.STATEMENTS[1]
    await kit.store.write(lambda tx: tx.execute(mark))
    assert len(await given(kit, harness(kit))) == (1 if failures else 2)
    await kit.store.close()
