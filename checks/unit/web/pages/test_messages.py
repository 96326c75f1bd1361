"""Messages, inbox and questions: sent, answered, searched, truncated."""

import re
from typing import Any

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from checks.kits.web.hive import FakeHive
from pyglue.api.inbox import OperatorSendParams, SentResult
from pyglue.api.messages import Priority
from pyglue.api.questions import AnswerParams


def test_sending(operator: Operator) -> None:
    form = {
        "to": "alice",
        "body": "one\r\ntwo \u00e9",
        "reply_to": "30",
        "priority": "high",
        "back": "/agents/alice",
    }
    answer = operator.post("/send", form)
    assert (answer.status_code, answer.location) == (303, "/agents/alice")
    (params,) = operator.hive.called("send")
    assert params == OperatorSendParams(
        to="alice", body="one\ntwo \u00e9", reply_to=30, priority=Priority.HIGH
    )


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/agents/../x", "/login", "\\"]
)
def test_a_form_leads_to_our_own_pages_only(operator: Operator, back: str) -> None:
    form = {"to": "alice", "body": "x", "back": back}
    assert operator.post("/send", form).location == "/"


def test_a_message_may_be_as_large_as_hived_allows(operator: Operator) -> None:
    body = "\u20ac" * (256 * 1024 // 3)
    assert operator.post("/send", {"to": "alice", "body": body}).status_code == 303
    answer = operator.post("/send", {"to": "alice", "body": body + "\u20ac"})
    assert answer.status_code == 413
    assert "The message is 257 KiB; at most 256 KiB" in answer.text


def test_a_huge_request_is_refused(operator: Operator) -> None:
    answer = operator.post("/send", {"to": "alice", "body": "x" * 3_000_000})
    assert answer.status_code == 413
    assert not operator.hive.called("send")


@pytest.mark.parametrize("form", [{}, {"to": "alice"}, {"to": "alice", "body": " "}])
def test_a_message_without_words_is_refused(
    operator: Operator, form: dict[str, str]
) -> None:
    assert operator.post("/send", form).status_code == 400
    assert not operator.hive.called("send")


def test_answering_by_choice_sends_the_option_s_own_text(operator: Operator) -> None:
    option = "a\u202e\u00a0 <b>"
    operator.hive.questions = [data.question(4, options=("no", option), multi=True)]
    form: dict[str, object] = {"choice": ["1", "0", "7"], "text": "because"}
    answer = operator.post("/questions/4/answer", form)
    assert (answer.status_code, answer.location) == (303, "/#needs")
    assert operator.hive.called("answer") == [
        AnswerParams(question=4, text="because", choices=(option, "no"))
    ]


def test_an_empty_answer_is_refused(operator: Operator) -> None:
    assert operator.post("/questions/4/answer", {"text": " "}).status_code == 400
    answer = operator.post("/questions/9/answer", {"text": "", "choice": "0"})
    assert answer.status_code == 404
    assert not operator.hive.called("answer")


def test_marking_in_the_inbox(operator: Operator) -> None:
    hive = operator.hive
    assert operator.post("/inbox/31/read").location == "/#inbox"
    assert 31 in hive.read
    operator.post("/inbox/31/done", {"back": "/inbox?show=unread"})
    assert hive.finished == {31}
    answer = operator.post("/inbox/31/unread", {"back": "/inbox?show=done"})
    assert answer.location == "/inbox?show=done"
    assert (31 in hive.read, hive.finished) == (False, set())


@pytest.mark.parametrize(
    "path", ["/inbox/31/gone", "/inbox/0/done", "/inbox/read-to/0", "/inbox/31/queued"]
)
def test_a_mark_that_there_is_not_is_refused(operator: Operator, path: str) -> None:
    assert operator.post(path).status_code == 404
    assert not operator.hive.called("mark")


def test_the_inbox_shows_open_messages_and_others_on_request(
    operator: Operator,
) -> None:
    hive = operator.hive
    hive.inbox.append(data.message(29, recipient="operator", body="Long ago."))
    hive.read.add(29)
    hive.finished.add(29)

    def shown(query: str) -> list[str]:
        return re.findall(
            r'data-testid="inbox-message" data-id="(\d+)"',
            operator.get(f"/inbox{query}").text,
        )

    assert shown("") == ["31", "30"]
    assert shown("?show=unread") == ["31"]
    assert shown("?show=done") == ["29"]
    assert shown("?show=all") == ["31", "30", "29"]
    assert shown("?before=31") == ["30"]
    hive.inbox.clear()
    assert "There are no open messages." in operator.get("/inbox").text
    assert "Your inbox is empty." in operator.get("/inbox?show=all").text
    refused = operator.get("/inbox?show=spam")
    assert refused.status_code == 400
    assert "use one of open, unread, done, all" in refused.text


def test_a_long_inbox_has_pages(operator: Operator) -> None:
    hive = operator.hive
    hive.inbox = [data.message(n, recipient="operator") for n in range(120, 40, -1)]
    page = operator.get("/inbox?show=all").text
    assert 'rel="next" href="/inbox?show=all&amp;before=71"' in page
    assert 'data-id="70"' not in page
    assert 'rel="next"' not in operator.get("/inbox?show=all&before=71").text


def test_done_messages_leave_the_overview_and_can_be_reopened(
    operator: Operator,
) -> None:
    hive = operator.hive
    hive.messages = list(hive.inbox)
    hive.read.add(31)
    hive.finished.add(31)
    overview = operator.get("/").text
    assert 'data-testid="inbox-message" data-id="31"' not in overview
    assert 'data-testid="inbox-message" data-id="30"' in overview
    assert "/inbox/31/read" in operator.get("/messages/31").text  # Reopen
    assert hive.finished == {31}  # looking at it changes nothing
    assert "/inbox/30/done" in operator.get("/messages/30").text


def test_pairs_lead_to_their_messages(operator: Operator) -> None:
    hive = operator.hive
    hive.messages = [
        data.message(43, sender="manager", recipient="alice"),
        data.message(42, sender="alice", recipient="manager"),
        data.message(41, sender="alice", recipient="operator"),
    ]
    page = operator.get("/messages/pairs").text
    assert 'href="/messages?agent=alice&amp;peer=manager"' in page
    assert "2 messages" in page and "1 message<" in page
    listed = operator.get("/messages?agent=alice&peer=manager").text
    assert re.findall(r'data-testid="message" data-id="(\d+)"', listed) == ["43", "42"]
    only = operator.get("/fragments/messages/pairs?agent=operator").text
    assert "peer=operator" in only and "peer=manager" not in only
    assert "No messages of bob." in operator.get("/messages/pairs?agent=bob").text


@pytest.mark.parametrize("path", ["/messages?peer=..", "/messages/pairs?agent=A"])
def test_a_pair_of_no_names_is_refused(operator: Operator, path: str) -> None:
    page = operator.get(path)
    assert page.status_code == 400
    assert "name" in page.text


def test_all_that_the_page_knew_is_marked_as_read(operator: Operator) -> None:
    hive = operator.hive
    hive.read.clear()
    page = operator.get("/").text
    assert 'action="/inbox/read-to/31"' in page
    late = data.message(32, recipient="operator", body="Only just now.")
    hive.inbox.insert(0, late)
    assert operator.post("/inbox/read-to/31").location == "/#inbox"
    assert hive.read == {30, 31}
    hive.read.add(32)
    assert "/inbox/read-to/" not in operator.get("/").text


def test_what_is_unread_is_shown_however_old_it_is(operator: Operator) -> None:
    hive = operator.hive
    hive.inbox = [
        data.message(n, recipient="operator", body=f"Report {n}.")
        for n in range(99, 9, -1)
    ]
    hive.read = set(range(11, 100))
    page = operator.get("/fragments/inbox").text
    assert page.index("Report 10.") < page.index('<details class="read"')
    assert page.index('<details class="read"') < page.index("Report 99.")


def test_a_message_is_read_once_its_page_shows_it_whole(operator: Operator) -> None:
    hive = operator.hive
    to_us = {"recipient": "operator", "reply_to": 40}
    hive.messages = [
        data.message(40, sender="operator", recipient="alice", body="How is it?"),
        data.message(41, body="Well.", **to_us),
        data.message(42, body="x" * 5000, **to_us),
    ]
    hive.inbox = hive.messages[1:]
    page = operator.get("/messages/40").text
    assert hive.read == {30, 41}
    assert page.index("How is it?") < page.index("Well.") < page.index("xxx")
    assert 'href="/messages/42">Read the full message' in page
    assert '<input type="hidden" name="to" value="alice">' in page
    operator.get("/fragments/messages/42")
    assert hive.read == {30, 41, 42}


def test_the_hive_itself_gets_no_reply(operator: Operator) -> None:
    hive = operator.hive
    hive.messages = [data.message(40, sender="system", recipient="operator")]
    page = operator.get("/messages/40")
    assert page.status_code == 200
    assert 'name="reply_to"' not in page.text


def test_a_message_is_clipped_in_lists_and_whole_on_its_page(
    operator: Operator,
) -> None:
    long = "x" * 200_000
    operator.hive.messages = [data.message(31, body=long)]
    overview = operator.get("/").text
    assert long not in overview
    assert "more characters" in overview
    assert long in operator.get("/messages/31").text
    assert operator.get("/messages/30").status_code == 404


def test_messages_too_large_for_one_answer_still_show(operator: Operator) -> None:
    huge = "\x01" * (256 * 1024)  # six times as long in JSON
    operator.hive.messages = [data.message(n, body=huge) for n in range(60, 1, -1)]
    page = operator.get("/")
    assert page.status_code == 200
    assert 'data-testid="message" data-id="60"' in page.text
    assert "could not be read" not in page.text


def test_messages_are_filtered_and_searched(hive: FakeHive, operator: Operator) -> None:
    page = operator.get("/messages?text=50%25+off&agent=bob&kind=message&before=40")
    assert page.status_code == 200
    asked = hive.called("messages")[0]
    assert (asked.text, asked.agent, asked.kind, asked.before) == (
        "50% off",
        "bob",
        "message",
        40,
    )
    assert 'value="50% off"' in page.text


@pytest.mark.parametrize(
    ("query", "said"), [("kind=gossip", "use one of"), ("agent=../x", "name")]
)
def test_a_filter_that_is_none_is_refused(
    operator: Operator, query: str, said: str
) -> None:
    page = operator.get(f"/messages?{query}")
    assert page.status_code == 400
    assert said in page.text


def test_a_broadcast_says_whom_it_missed(hive: FakeHive, operator: Operator) -> None:
    async def sent(_params: Any) -> SentResult:
        return SentResult(id=9, missed=("bob",))

    hive.overrides["send"] = sent
    operator.post("/send", {"to": "all", "body": "Stop."})
    page = operator.get("/")
    assert (
        "Message 9 sent to all agents. Not delivered to bob: inbox full." in page.text
    )


def test_a_search_that_finds_nothing_says_so(operator: Operator) -> None:
    operator.hive.messages = []
    assert "No matching messages." in operator.get("/messages?text=nowhere").text
    assert "No messages yet." in operator.get("/messages").text


def test_the_question_that_expires_first_comes_first(operator: Operator) -> None:
    operator.hive.questions = [
        data.question(9, expires_at=None),
        data.question(8, expires_at=data.NOW + 9000),
        data.question(7, expires_at=data.NOW + 240),
    ]
    found = re.findall(r'id="question-(\d+)"', operator.get("/").text)
    assert found == ["7", "8", "9"]
