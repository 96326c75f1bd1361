"""Sessions of the harness, with the real CLI: what is in them, and their shortening."""

import json

from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness_here
from pyglue.api.common import AgentState
from pyglue.api.turn_events import TurnEventKind
from pyglue.api.turns import TurnOutcome


async def test_the_model_that_hived_names_is_used(home: Home, hive: FakeHive) -> None:
    home.load(model="haiku")
    hive.model = "sonnet"
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.ends)
        assert hive.starts[0].model is None
        transcript = next(home.session.glob("projects/*/*.jsonl")).read_text()
        assert "sonnet" in transcript
        assert "haiku" not in transcript


async def test_unknown_session_is_replaced(home: Home, hive: FakeHive) -> None:
    home.load()
    kept = home.session / "hive-session.json"
    kept.write_text('{"id":"00000000-0000-4000-8000-000000000000","cost_usd":1.5}')
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.ends)
        assert hive.ends[0].outcome is TurnOutcome.OK
        assert hive.ends[0].cost_usd > 0
        assert "-4000-8000-" not in kept.read_text()


async def test_mail_is_never_a_command_nor_a_file(home: Home, hive: FakeHive) -> None:
    home.load()
    secret = home.root / "secret"
    secret.write_text("the secret words")
    bodies = [
        "/compact",
        f"@{secret} look",
        f"x\n/compact\n@{secret}",
        "!ls",
        "#remember",
    ]
    hive.keeps_warm = True  # a new CLI reads the first, and the others too
    async with harness_here(home):
        for body in bodies:
            done = len(hive.ends) + 1
            await hive.mail(body)
            await hive.until(lambda done=done: len(hive.ends) == done)
        assert [one.warm for one in hive.starts] == [False] + [True] * 4
        assert {end.outcome for end in hive.ends} == {TurnOutcome.OK}
        transcript = next(home.session.glob("projects/*/*.jsonl")).read_text()
        assert "the secret words" not in transcript
        asked = [json.loads(line) for line in transcript.splitlines()]
        texts = [
            entry["message"]["content"]
            for entry in asked
            if entry.get("type") == "user" and not entry.get("isMeta")
        ]
        assert len(texts) == len(bodies)
        assert all(str(text).find("[message ") in (0, 27, 28, 29) for text in texts)


async def test_long_session_is_compacted_before_the_next_turn(
    home: Home, hive: FakeHive
) -> None:
    home.load(autoCompact=10000)
    hive.keeps_warm = True
    async with harness_here(home):
        await hive.mail(script({"text": "long", "input_tokens": 20000}))
        await hive.until(lambda: len(hive.ends) == 1)
        await hive.mail(script({"text": "short", "input_tokens": 500}))
        await hive.until(lambda: len(hive.ends) == 2)
        await hive.mail(script({"text": "short", "input_tokens": 500}))
        await hive.until(lambda: len(hive.ends) == 3)
        assert len(hive.texts(TurnEventKind.COMPACTED)) == 1
        states = [params.state for params in hive.states]
        assert states.count(AgentState.COMPACTING) == 1
        assert {end.outcome for end in hive.ends} == {TurnOutcome.OK}


async def test_long_notes_are_shortened_between_turns(
    home: Home, hive: FakeHive
) -> None:
    home.load(notes={"maxBytes": 1024})
    hive.keeps_warm = True
    notes, backup = home.state / "notes.md", home.state / "notes.md.bak"
    long = script({"text": "short"}) + "\n" + "x\n" * 1000
    notes.write_text(long)
    async with harness_here(home):
        await hive.mail(script({"text": "fine"}))
        await hive.until(lambda: hive.texts(TurnEventKind.LOG))
        assert notes.read_text() == "short\n"
        assert backup.read_text() == long
        assert hive.said(AgentState.COMPACTING)
        assert len(list(home.session.glob("projects/*/*.jsonl"))) == 1

        longer = script({"status": 400, "message": "no"}) + "\n" + "x\n" * 1000
        notes.write_text(longer)
        for _ in range(2):  # it cannot be shortened, and is not tried again
            done = len(hive.ends) + 1
            await hive.mail(script({"text": "fine"}))
            await hive.until(lambda done=done: len(hive.ends) == done)
            await hive.until(lambda: hive.states[-1].state is AgentState.IDLE)
        assert notes.read_text() == longer
        states = [params.state for params in hive.states]
        assert states.count(AgentState.COMPACTING) == 2
