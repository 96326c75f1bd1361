"""Times, callers and links as operators read them."""

import time

import msgspec
import pytest

from checks.kits.web.app import Operator
from pyglue.api.logins import session_name
from pyglue.web.pages import formats


@pytest.mark.parametrize(
    ("age_s", "shown"), [(0, "just now"), (16, "for 16 s"), (79200, "for 22 h")]
)
def test_a_state_lasts(age_s: float, shown: str) -> None:
    made = str(formats.lasting(time.time() - age_s - 0.5))
    assert 'class="lasting"' in made
    assert f">{shown}</time>" in made


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("session 88395abd", "you"),
        ("session 88395abd paused bob: costs", "you paused bob: costs"),
        ("session 11111111", "another browser (11111111)"),
        ("cli uid 0", "root on the command line"),
        ("cli uid 1000", "uid 1000 on the CLI"),
        ("manager", "manager"),
        ("session 88395abd9", "session 88395abd9"),
    ],
)
def test_callers_are_named_for_the_operator(text: str, shown: str) -> None:
    assert formats.who(text, "session 88395abd") == shown


def test_states_are_words() -> None:
    """Nothing is built where no system is: what is under way is a deployment."""
    badge = '<span class="state s-building" data-testid="state">deploying</span>'
    assert str(formats.badge("building")) == badge
    assert formats.words("changes_requested") == "changes requested"


def test_an_operation_is_a_link_and_everything_else_text() -> None:
    made = formats.linked("Stopping <b>… (operation 8)")
    assert made == ('Stopping &lt;b&gt;… (<a href="/operations/8">operation 8</a>)')


def test_a_page_says_you_for_its_own_session(operator: Operator) -> None:
    assert operator.session is not None
    mine = session_name("", operator.session)
    found = operator.hive.approvals[7]
    row = msgspec.structs.replace(found.approval, proposed_by=mine)
    operator.hive.approvals[7] = msgspec.structs.replace(found, approval=row)
    assert "<dt>Proposed</dt><dd>by you, " in operator.get("/approvals/7").text


def test_commands_in_a_sentence_are_code_and_nothing_else_is_markup() -> None:
    said = formats.coded("Run `hive <b> x`, or <i>`\u202e`</i>.")
    assert said == (
        "Run <code>hive &lt;b&gt; x</code>, or "
        "&lt;i&gt;<code>\u2039U+202E\u203a</code>&lt;/i&gt;."
    )
