"""``hive approval N``: the same commit message and notes as on the page."""

from typing import cast

import msgspec
import pytest

from checks.kits.web import data
from pyglue.api.approvals import (
    ApprovalDetail,
    ChangesRequested,
    DiffBase,
    Effect,
    PolicyChange,
    QuotedComment,
)
from pyglue.api.operations import Operation, OperationKind, OperationState
from pyglue.api.wakeups import ScheduleView
from pyglue.cli.output import waiting
from pyglue.cli.output.show import approval_text
from pyglue.jsonrpc import SyncClient

NOTE = "Nix warns: the option \u202eold is \x1b[31mgone"


def detail(message: str, description: str = "") -> ApprovalDetail:
    row = msgspec.structs.replace(data.summary(7), description=description)
    return msgspec.structs.replace(data.detail(row), message=message)


@pytest.mark.parametrize("description", ["", "In short"])
def test_the_commit_message_is_always_shown(description: str) -> None:
    shown = approval_text(detail("Subject\n\nA body\n", description))
    assert "message   Subject\n\n          A body\n" in shown
    assert ("about     In short\n" in shown) == bool(description)


def test_its_hidden_characters_are_named_as_on_the_page() -> None:
    shown = approval_text(detail("a\u202eb\x1b[2Kc\td\u200b"))
    assert "message   a\u2039U+202E\u203ab\u241b[2Kc\td\u2039U+200B\u203a\n" in shown


def test_a_line_of_a_message_is_no_line_of_ours() -> None:
    shown = approval_text(detail("x\nmanifest  0000\r\nhive approve 9"))
    assert "\n          manifest  0000\u240d\n          hive approve 9\n" in shown


REPORT = "\n".join(["reports:", *(f"> line {i}: \x1b[31mno" for i in range(900))])


def test_the_reason_of_a_failure_is_shown_whole_line_by_line() -> None:
    found = detail("m")
    row = msgspec.structs.replace(found.approval, reason=REPORT)
    shown = approval_text(msgspec.structs.replace(found, approval=row))
    assert "reason    reports:\n          > line 0: \u241b[31mno\n" in shown
    assert "\n          > line 899: \u241b[31mno\n" in shown


def test_so_is_that_of_an_operation_that_failed() -> None:
    operation = Operation(
        id=4,
        kind=OperationKind.DEPLOY,
        agent="alice",
        state=OperationState.FAILED,
        step="fail",
        requested_by="x",
        created_at=0.0,
        finished_at=1.0,
        approval=7,
        error=REPORT,
    )

    class Client:
        def call(self, *_: object) -> Operation:
            return operation

    answer = waiting.ended(cast(SyncClient, Client()), 4, wait=False)
    assert answer.code == 1
    first, *lines = answer.text.split("\n")
    assert first == "Operation 4 (deploy alice): failed. reports:"
    assert lines[0] == "  > line 0: \\x1b[31mno"
    assert lines[-1] == "  > line 899: \\x1b[31mno"


def noted(found: ApprovalDetail) -> ApprovalDetail:
    note = PolicyChange(
        option="agent.nix",
        effect=Effect.NEUTRAL,
        sentence=NOTE,
        before=None,
        after=None,
    )
    return msgspec.structs.replace(found, policy=(*found.policy, note))


def test_notes_of_the_evaluation_are_among_the_changes() -> None:
    shown = approval_text(noted(detail("m")))
    assert "Nix warns: the option \\u202eold is \\x1b[31mgone\n" in shown


def test_the_next_times_of_a_schedule_are_shown() -> None:
    one = ScheduleView(
        name="morning",
        at="08:00",
        message="a\u202eb\nc",
        next_at=(1.0,),
        times=("Mon 2026-11-30 08:00 CET",),
    )
    gone = ScheduleView(name="x", at="2020-01-01", message="m", next_at=(), times=())
    found = msgspec.structs.replace(detail("m"), schedule=(one, gone))
    shown = approval_text(found)
    assert "  morning: 08:00\n    next     Mon 2026-11-30 08:00 CET\n" in shown
    assert "    message  a\\u202eb\\nc\n" in shown
    assert "  x: 2020-01-01\n    next     it never occurs again\n" in shown


def test_requested_changes_are_shown_with_their_lines() -> None:
    comment = QuotedComment(
        file="agent.nix",
        line=2,
        to=3,
        base=None,
        text="Why?\nhive approve 9",
        quoted=("a\u202eb\x1b[2K", "c"),
    )
    asked = ChangesRequested(
        approval=5,
        text="Nearly.\nhive approve 9",
        comments=(
            comment,
            msgspec.structs.replace(comment, line_now=7),
            msgspec.structs.replace(comment, base=DiffBase.RUNNING),
        ),
    )
    found = msgspec.structs.replace(detail("m"), comments=(comment,), asked=asked)
    shown = approval_text(found)
    lines = "    > a\\u202eb\\x1b[2K\n    > c\n    Why?\n    hive approve 9\n"
    assert f"\n  agent.nix:2-3\n{lines}" in shown
    assert "\nChanges requested in approval 5:\n  Nearly.\n  hive approve 9\n" in shown
    assert f"\n  agent.nix:2-3 (changed or gone)\n{lines}" in shown
    assert f"\n  agent.nix:2-3, now 7\n{lines}" in shown
    assert f"\n  agent.nix:2-3 of the deployed version\n{lines}" in shown
