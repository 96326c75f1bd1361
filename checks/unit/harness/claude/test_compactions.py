"""A turn that no longer fits, when its compaction gets unexpected answers.

``recorded_compactions.json`` is what the CLI reported of ``/compact`` for each of the
kit's answers. The session is the real one; only the CLI is played. A part of the
answers is given to the real CLI in the end-to-end tests.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from checks.kits.harness.answers import NOT_THE_MAILS, RECOVERS
from checks.kits.web.data import message
from pyglue.api.turn_events import AnyLiveEvent
from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude import evidence, session
from pyglue.harness.claude.events import Tally
from pyglue.harness.claude.evidence import QUESTION
from pyglue.harness.claude.kept_session import SessionStore
from pyglue.harness.claude.outcome import Suspect, Verdict
from pyglue.harness.claude.session import Session
from pyglue.harness.claude.turn import Cancellation, Ended
from pyglue.harness.claude.warm import Warm
from pyglue.harness.joined import Joined

RECORDED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("recorded_compactions.json").read_text("utf-8")
)
TOO_LONG = Ended(
    verdict=Verdict(
        outcome=TurnOutcome.FAILED,
        reason="too long",
        suspect=Suspect.REQUEST,
        is_too_long=True,
    )
)


class Options:
    """The options of a CLI that is played."""

    def turn(self, *, resume: bool, **_: Any) -> bool:
        """Return what matters here: whether an old session goes on."""
        return resume

    def probe(self, **_: Any) -> None:
        """Nor here."""


class Roomy:
    """A disk with space."""

    def problem(self) -> None:
        """There is none."""


class Cli:
    """Plays turns: ``compaction`` is the row for ``/compact``."""

    def __init__(self, compaction: dict[str, Any] | None = None) -> None:
        self.compaction = compaction
        self.is_full = False
        self.never_fits = False
        """What is begun anew does, all the same."""
        self.prompts: list[str] = []

    async def run_turn(
        self, resumed: Any, prompt: str, tally: Tally, *_: Any, **__: Any
    ) -> Ended:
        """Return how the turn ended."""
        self.prompts.append(prompt)
        tally.session_id = "s"
        if prompt == "/compact":
            row = self.compaction
            assert row is not None
            tally.text, tally.was_compacted = row["text"], row["was_compacted"]
            self.is_full = self.never_fits or not row["was_compacted"]
            outcome, suspect = TurnOutcome(row["outcome"]), Suspect[row["suspect"]]
            return Ended(
                verdict=Verdict(outcome=outcome, reason=row["reason"], suspect=suspect)
            )
        full = self.is_full and resumed and prompt != QUESTION
        return TOO_LONG if full else Ended(verdict=Verdict(outcome=TurnOutcome.OK))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    played = Cli()
    for module in (session, evidence):
        monkeypatch.setattr(module, "run_turn", played.run_turn)
    return played


def made(room: Path, said: list[AnyLiveEvent], joined: Joined | None = None) -> Session:
    options: Any = Options()
    space: Any = Roomy()
    store = SessionStore(directory=room, emit=said.append)
    return Session(
        options=options,
        store=store,
        warm=Warm(keep_s=0, transcript=store.transcript, changed=lambda _: None),
        notes=room / "notes.md",
        joined=joined or Joined(),
        space=space,
        compact_at=None,
        say=lambda _: None,
    )


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row["answer"])
async def test_a_compaction_that_any_would_meet_counts_against_no_message(
    tmp_path: Path, cli: Cli, row: dict[str, Any]
) -> None:
    said: list[AnyLiveEvent] = []
    talk = made(tmp_path, said)
    never = Cancellation()
    await talk.turn("remember this", model="haiku", cancellation=never)
    cli.compaction, cli.is_full = row, True
    ended = (await talk.turn("more", model="haiku", cancellation=never)).ended
    assert ended.verdict.suspect is Suspect.NOBODY
    assert talk.has_begun, "the conversation stays"
    assert said == []
    if row["answer"] in RECOVERS:
        assert ended.outcome is TurnOutcome.COMPACTED
        return
    assert ended.outcome is TurnOutcome.FAILED
    assert row["text"][:60] in (ended.reason or "")
    cli.is_full = False  # the model's side is well again
    again = await talk.turn("more", model="haiku", cancellation=never)
    assert again.ended.outcome is TurnOutcome.OK
    assert cli.prompts.count("/compact") == 1


async def test_a_new_session_is_told_what_the_model_took_in_the_old_one(
    tmp_path: Path, cli: Cli
) -> None:
    joined = Joined()
    talk = made(tmp_path, [], joined)
    never = Cancellation()
    await talk.turn("remember this", model="haiku", cancellation=never)
    cli.compaction = {"text": "", "was_compacted": True, "outcome": "ok"}
    cli.compaction |= {"reason": None, "suspect": "NOBODY"}
    cli.is_full = cli.never_fits = True
    joined.begin()
    joined.took([message(7, body="and this")])
    ended = (await talk.turn("more", model="haiku", cancellation=never)).ended
    assert ended.outcome is TurnOutcome.COMPACTED
    assert cli.prompts[1:4] == ["more", "/compact", "more"]
    opening, _, header, body = cli.prompts[4].splitlines()
    assert opening == "more"
    assert header.startswith("[message 7 from ")
    assert header.endswith("redelivered]")
    assert body == "and this"


def test_every_answer_was_recorded() -> None:
    assert [row["answer"] for row in RECORDED] == list(NOT_THE_MAILS)
