"""Asking an agent to explain a proposal: the message, and its reply on the page."""

import msgspec
import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, show_diff
from checks.kits.web.hostile import CORPUS, NASTY, poison
from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState
from pyglue.api.inbox import OperatorSendParams
from pyglue.api.messages import BODY_LIMIT
from pyglue.web.pages import explain

PAGE = "/approvals/7"


def ask(operator: Operator, agent: str = "manager") -> OperatorSendParams:
    answer = operator.post(f"{PAGE}/explain", {"agent": agent})
    assert (answer.status_code, answer.location) == (303, f"{PAGE}#h-explain")
    (sent,) = operator.hive.called("send")
    assert isinstance(sent, OperatorSendParams)
    return sent


def reply(operator: Operator, body: str, sender: str = "manager") -> None:
    asked = operator.hive.messages[0]
    said = data.message(
        asked.id + 1,
        sender=sender,
        recipient="operator",
        body=body,
        reply_to=asked.id,
    )
    operator.hive.messages.insert(0, said)


def test_the_agent_gets_the_number_the_commit_and_the_change(
    operator: Operator,
) -> None:
    row = operator.hive.approvals[7].approval
    sent = ask(operator)
    assert sent.to == "manager" and sent.reply_to is None
    first, *_ = lines = sent.body.split("\n")
    named = f"approval 7, commit {row.commit} of alice"
    assert first == f"Explain {named}, to the operator."
    assert "> widens, critical: May use 2 more tools: Bash and Read." in lines
    assert '> +    model = "sonnet";' in lines
    assert f"> {row.description}" in lines


def test_the_running_agents_can_be_asked_the_manager_first(operator: Operator) -> None:
    hive = operator.hive
    html = operator.get(PAGE).text
    form = html[html.index("explain-form") :]
    names = [part.split('"')[0] for part in form.split('<option value="')[1:]]
    stopped = {one.name for one in hive.agents if one.state is AgentState.STOPPED}
    shown = [one for one in names if one]
    assert shown[0] == "manager" and not stopped & set(shown[: len(hive.agents)])


@pytest.mark.parametrize(
    ("agent", "status"),
    [("", 400), ("all", 400), ("operator", 400), ("../x", 400), ("a" * 99, 400)],
)
def test_nobody_else_is_asked(operator: Operator, agent: str, status: int) -> None:
    answer = operator.post(f"{PAGE}/explain", {"agent": agent})
    assert answer.status_code == status
    assert operator.hive.called("send") == []


def test_what_is_decided_needs_no_explanation(operator: Operator) -> None:
    operator.hive.set_approval(7, state=ApprovalState.DENIED)
    assert operator.post(f"{PAGE}/explain", {"agent": "manager"}).status_code == 409
    assert operator.post("/approvals/99/explain", {"agent": "bob"}).status_code == 404
    for missing in (8, 99):
        place = f"/fragments/approval/{missing}/explain"
        assert operator.get(place).status_code == 404
    assert operator.hive.called("send") == []
    html = operator.get(PAGE).text
    assert "explain-form" not in html
    assert "No explanation was requested." in html


def test_the_reply_is_shown_as_the_words_of_the_agent(operator: Operator) -> None:
    ask(operator)
    html = operator.get(PAGE).text
    assert "was asked" in html and 'data-testid="explanation"' not in html
    reply(operator, "It may **run anything**.")
    html = operator.get("/fragments/approval/7/explain").text
    assert "It may <strong>run anything</strong>." in html
    assert "Unverified: written by manager." in html
    number = operator.hive.messages[1].id
    assert f'href="/messages/{number}"' in html
    operator.hive.set_approval(7, state=ApprovalState.DENIED)
    assert "<strong>run anything</strong>" in operator.get(PAGE).text


def test_only_replies_to_the_question_about_this_commit_count(
    operator: Operator,
) -> None:
    sent = ask(operator)
    asked = operator.hive.messages[0]
    reply(operator, "I am not whom you asked.", sender="alice")
    forged = msgspec.structs.replace(asked, id=asked.id + 5, sender="alice")
    quoted = data.message(
        asked.id + 6, sender="operator", recipient="bob", body=f"Look: {sent.body}"
    )
    operator.hive.messages[:0] = [quoted, forged]
    html = operator.get(PAGE).text
    assert html.count('data-testid="explained"') == 1
    assert "I am not whom you asked." not in html
    operator.hive.set_approval(7, commit="0" * 40)
    assert 'data-testid="explained"' not in operator.get(PAGE).text


@pytest.mark.parametrize("text", [NASTY, *CORPUS], ids=lambda text: text[:12])
def test_hostile_replies_stay_text(operator: Operator, text: str) -> None:
    ask(operator)
    reply(operator, text)
    html = operator.get("/fragments/approval/7/explain").text
    for tag in ("<script", "<img", "<svg", "<iframe", "<nasty", "<style", "<base"):
        assert tag not in html
    assert "\u202e" not in html and "\x1b" not in html
    assert 'href="javascript' not in html


@pytest.mark.parametrize("text", [NASTY, *CORPUS], ids=lambda text: text[:12])
def test_what_agents_wrote_is_quoted_line_by_line(
    operator: Operator, text: str
) -> None:
    detail = operator.hive.approvals[7]
    hostile = poison(detail, text)
    asked = explain.question(
        msgspec.structs.replace(
            detail,
            approval=msgspec.structs.replace(detail.approval, description=text),
            policy=hostile.policy,
            diffs=hostile.diffs,
        )
    )
    plain = explain.question(detail)
    ours = {one for one in plain.split("\n") if not one.startswith(">")}
    others = [one for one in asked.split("\n") if not one.startswith(">")]
    assert all(one in ours or one.endswith("left out here.") for one in others)
    assert len(asked.encode()) < BODY_LIMIT


def test_a_long_diff_is_cut_with_a_note(operator: Operator) -> None:
    many = "".join(f"line {n}\n" for n in range(30_000))
    show_diff(operator.hive, data.file_diff("a.txt", "", many))
    body = explain.question(operator.hive.approvals[7])
    assert len(body) < 40_000
    assert "more lines are left out here." in body
