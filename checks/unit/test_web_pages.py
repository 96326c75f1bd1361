"""Pages and forms over a hive of canned data: what is shown, called and refused."""

import gzip
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask import Flask

from checks import fake_hive
from checks import web_data as data
from checks.fake_hive import FakeHive
from checks.hostile import NASTY, poisoned
from checks.web_kit import Operator, make_app
from pyglue.api.approvals import (
    ApprovalDetail,
    ApprovalsResult,
    ApproveParams,
    DiffBase,
    DiffSet,
)
from pyglue.api.diff import DiffLine, FileDiff, Hunk, LineKind
from pyglue.api.messages import (
    InboxResult,
    MessagesResult,
    OperatorSendParams,
    Priority,
    SentResult,
)
from pyglue.api.operations import Operation, OperationsResult
from pyglue.api.overview import AgentDetail, AgentsView, HiveStatus
from pyglue.api.questions import AnswerParams, QuestionsResult
from pyglue.errors import ErrorCode, HiveError


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHive]:
    socket = tmp_path_factory.mktemp("hive") / "operator.sock"
    with fake_hive.running(socket) as started:
        yield started


@pytest.fixture(scope="module")
def app(running: FakeHive) -> Flask:
    return make_app(running)


@pytest.fixture
def hive(running: FakeHive) -> FakeHive:
    running.reset()
    return running


@pytest.fixture
def operator(hive: FakeHive, app: Flask) -> Operator:
    return Operator(hive, app, hive.new_session())


def refuse(code: ErrorCode, sentence: str) -> Any:
    async def answer(_params: object) -> None:
        raise HiveError(code, sentence)

    return answer


ALL = (
    "/",
    "/approvals",
    "/approvals/7",
    "/approvals/7?view=split",
    "/agents/alice",
    "/messages/31",
)
FRAGMENTS = (
    *(
        f"/fragments/{name}"
        for name in ("approvals", "questions", "agents", "inbox", "messages", "banner")
    ),
    "/fragments/approval/7",
    "/fragments/agent/alice",
)


# --- the overview --------------------------------------------------------------


def test_sections_come_in_the_order_of_need(operator: Operator) -> None:
    html = operator.get("/").text
    names = re.findall(r'<section id="(\w+)"', html)
    assert names == [
        "kept",
        "drafts",
        "approvals",
        "questions",
        "agents",
        "inbox",
        "send",
        "spawn",
        "messages",
    ]


def test_the_overview_says_what_is_so(operator: Operator) -> None:
    operator.hive.warnings = ("The same uid could open <operator.sock>.",)
    html = operator.get("/").text
    assert "scripted model (no cost)" in html
    assert "The same uid could open &lt;operator.sock&gt;." in html
    assert "Widens power" in html
    assert "rate limited" in html
    assert "until 14:30 UTC" in html
    assert "$12.50" in html
    assert "did not connect: exit status 1" in html
    assert "Use the old compiler" in html


def test_the_overview_is_small(operator: Operator) -> None:
    full = operator.hive
    full.agents = [data.agent(f"a{n}") for n in range(60)]
    full.messages = [data.message(n, body="word " * 400) for n in range(99, 1, -1)]
    full.inbox = [data.message(n, body="word " * 4000) for n in range(99, 1, -1)]
    page = operator.get("/")
    assert len(gzip.compress(page.data)) < 150 * 1024
    assert len(page.data) < 400 * 1024


@pytest.mark.parametrize("path", FRAGMENTS)
def test_fragments_are_parts_of_pages(operator: Operator, path: str) -> None:
    answer = operator.get(path)
    assert answer.status_code == 200
    assert "<html" not in answer.text


@pytest.mark.parametrize("path", ["/fragments/nope", "/fragments/agent/nobody"])
def test_an_unknown_fragment_is_not_found(operator: Operator, path: str) -> None:
    assert operator.get(path).status_code == 404


def test_one_failing_section_leaves_the_others(operator: Operator) -> None:
    operator.hive.overrides["messages"] = refuse(ErrorCode.INTERNAL, "The flow broke.")
    page = operator.get("/")
    assert page.status_code == 200
    assert "This could not be read: The flow broke." in page.text
    assert "carol" in page.text


# --- the approval page ---------------------------------------------------------


def test_the_policy_comes_before_the_files(operator: Operator) -> None:
    html = operator.get("/approvals/7").text
    assert html.index("policy-widens") < html.index('data-testid="filelist"')
    row = operator.hive.approvals[7].approval
    assert html.count(row.commit) == 2
    assert html.count(row.manifest_sha256) == 2
    assert "The model is dearer: sonnet instead of haiku." in html
    assert "Narrows power" in html
    assert "Changes behaviour" in html


def test_the_base_and_the_view_are_links(operator: Operator) -> None:
    running = operator.get("/approvals/7?base=running").text
    previous = operator.get("/approvals/7?base=previous&view=split").text
    assert "notes/history.md" in running
    assert "notes/history.md" not in previous
    assert 'class="diff split"' in previous
    assert 'class="diff split"' not in running
    assert operator.get("/approvals/7?base=<x>&view=<y>").status_code == 200


def test_hidden_characters_are_visible_in_a_diff(operator: Operator) -> None:
    tricky = 'allowedTools = [ "Read\u202e" ]; # \x1b[2K\u200b'
    replace_diff(operator.hive, data.file_diff("agent.nix", "", tricky))
    html = operator.get("/approvals/7").text
    assert '<span class="hid" title="U+202E">\u2039U+202E\u203a</span>' in html
    assert '<span class="hid" title="U+001B">\u241b</span>' in html
    assert "\u202e" not in html
    assert "\x1b" not in html


def test_what_is_not_shown_is_said_and_has_to_be_confirmed(operator: Operator) -> None:
    hive = operator.hive
    replace_diff(hive, data.binary("logo.png"))
    hive.set_approval(7, widens=())
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], policy=())
    html = operator.get("/approvals/7").text
    assert "This is a binary file and cannot be shown" in html
    assert "1 file(s) are not shown in full here" in html
    assert decide(operator, confirm="").status_code == 400
    assert not hive.called("approve")


def replace_diff(hive: FakeHive, file: FileDiff) -> None:
    one = DiffSet(base=DiffBase.RUNNING, commit=None, files=(file,))
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], diffs=(one,))


def test_the_whole_diff_as_text(operator: Operator) -> None:
    answer = operator.get("/approvals/7/diff.txt")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert '+    model = "sonnet";' in answer.text
    one = operator.get("/approvals/7/diff.txt?file=1").text
    assert "notes/history.md" in one
    assert "agent.nix" not in one
    assert operator.get("/approvals/7/diff.txt?file=99").text == ""


def decide(operator: Operator, **changed: str) -> Any:
    row = operator.hive.approvals[7].approval
    form = {"commit": row.commit, "manifest": row.manifest_sha256, "confirm": "yes"}
    return operator.post("/approvals/7/approve", {**form, **changed})


def test_approving_names_what_was_seen(operator: Operator) -> None:
    row = operator.hive.approvals[7].approval
    answer = decide(operator)
    assert (answer.status_code, answer.location) == (303, "/approvals/7")
    assert operator.hive.called("approve") == [
        ApproveParams(id=7, commit=row.commit, manifest=row.manifest_sha256)
    ]
    html = operator.get("/approvals/7").text
    assert "It is being deployed as operation 12." in html
    assert 'data-state="building"' in html
    assert "Operation 12" in html
    assert "approve-form" not in html


def test_widening_needs_the_operator_s_word(operator: Operator) -> None:
    answer = decide(operator, confirm="")
    assert answer.status_code == 400
    assert "Nothing was approved" in answer.text
    assert not operator.hive.called("approve")


def test_what_is_harmless_needs_one_click_only(operator: Operator) -> None:
    hive = operator.hive
    hive.set_approval(7, widens=())
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], policy=())
    assert 'name="confirm"' not in operator.get("/approvals/7").text
    assert decide(operator, confirm="").status_code == 303


def test_approving_twice_is_a_clear_conflict(operator: Operator) -> None:
    decide(operator)
    answer = decide(operator)
    assert answer.status_code == 409
    assert "Approval 7 is building already." in answer.text
    assert 'href="/approvals/7"' in answer.text


@pytest.mark.parametrize("field", ["commit", "manifest"])
def test_a_stale_approval_is_refused(operator: Operator, field: str) -> None:
    answer = decide(operator, **{field: "0" * 40})
    assert answer.status_code == 409
    assert "Read it again" in answer.text
    assert operator.hive.approvals[7].approval.state == "pending"


@pytest.mark.parametrize("field", ["commit", "manifest"])
def test_an_approval_of_nothing_is_refused(operator: Operator, field: str) -> None:
    assert decide(operator, **{field: " "}).status_code == 400
    assert not operator.hive.called("approve")


def test_denying_needs_a_reason(operator: Operator) -> None:
    assert operator.post("/approvals/7/deny", {"reason": " "}).status_code == 400
    answer = operator.post("/approvals/7/deny", {"reason": "Too much.\r\nAsk less."})
    assert answer.status_code == 303
    (params,) = operator.hive.called("deny")
    assert params.reason == "Too much.\nAsk less."
    assert "Too much." in operator.get("/approvals/7").text


def test_the_queue_is_filtered(operator: Operator) -> None:
    html = operator.get("/approvals?state=denied&agent=bob").text
    assert re.findall(r'data-testid="approval" data-id="(\d+)"', html) == ["5"]
    everything = operator.get("/approvals?state=&agent=").text
    assert len(re.findall(r'data-testid="approval"', everything)) == 3
    assert operator.get("/approvals?state=<b>&agent=<i>").status_code == 200


# --- agents, messages, questions -----------------------------------------------


def test_an_agent_s_page(operator: Operator) -> None:
    html = operator.get("/agents/alice").text
    assert '<span class="a">allowedTools</span>' in html
    assert "turn 41: ok in 8.2 s" in html
    assert "&#34;model&#34;: &#34;sonnet&#34;" in html
    assert 'data-turns="alice"' in html
    assert 'href="/approvals/6"' in html


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_power(operator: Operator, action: str) -> None:
    answer = operator.post(f"/agents/alice/{action}", {"back": "/agents/alice"})
    assert (answer.status_code, answer.location) == (303, "/agents/alice")
    (params,) = operator.hive.called(action)
    assert params.agent == "alice"


@pytest.mark.parametrize("path", ["/agents/alice/explode", "/agents/alice/"])
def test_other_actions_are_not_found(operator: Operator, path: str) -> None:
    assert operator.post(path).status_code == 404


@pytest.mark.parametrize("name", ["A", "toolongname", "x_y", "..", "a%0ab", "%3Cb%3E"])
def test_what_is_no_name_does_not_reach_hived(operator: Operator, name: str) -> None:
    assert operator.post(f"/agents/{name}/stop").status_code in (400, 404)
    assert not operator.hive.called("stop")


def test_spawning_leads_to_the_approval(operator: Operator) -> None:
    form = {"name": "erin", "description": "Writes the changelog"}
    answer = operator.post("/agents/spawn", form)
    assert (answer.status_code, answer.location) == (303, "/approvals/8")
    assert "New agent" in operator.get("/approvals/8").text


@pytest.mark.parametrize("name", ["", "Erin", "manager", "operator", "-x", "x" * 10])
def test_a_name_that_cannot_be_is_refused(operator: Operator, name: str) -> None:
    answer = operator.post("/agents/spawn", {"name": name, "description": ""})
    assert answer.status_code == 400
    assert not operator.hive.called("spawn")


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
    assert "Send a shorter one" in answer.text


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
    assert (answer.status_code, answer.location) == (303, "/#questions")
    assert operator.hive.called("answer") == [
        AnswerParams(question=4, text="because", choices=(option, "no"))
    ]


def test_an_empty_answer_is_refused(operator: Operator) -> None:
    assert operator.post("/questions/4/answer", {"text": " "}).status_code == 400
    answer = operator.post("/questions/9/answer", {"text": "", "choice": "0"})
    assert answer.status_code == 404
    assert not operator.hive.called("answer")


def test_marking_as_read(operator: Operator) -> None:
    assert operator.post("/inbox/31/read").location == "/#inbox"
    assert 31 in operator.hive.read


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


# --- hostile text ----------------------------------------------------------------


@pytest.mark.parametrize("path", (*ALL, *FRAGMENTS, "/approvals/6"))
def test_hostile_text_stays_text(operator: Operator, path: str) -> None:
    poisoned(operator.hive, NASTY)
    answer = operator.get(path)
    assert answer.status_code == 200
    html = answer.text
    assert "&lt;script&gt;alert(1)" in html
    for raw in ("<script>", "<img src=x", "<nasty>", "54439", "</title>javascript"):
        assert raw not in html
    for char in "\x1b\x07\x00\r\x7f\x85\u202e\u2066\u200b\u2028\ufeff\U000e0041":
        assert char not in html
    assert not re.search(r'(href|action|src)="javascript', html)
    assert not re.search(r'<[a-z]+[^<>]*"[^<>=]*onerror', html)


@pytest.mark.parametrize("path", [path for path in ALL if "messages" not in path])
def test_a_million_characters_everywhere(operator: Operator, path: str) -> None:
    hive, long = operator.hive, "y" * 1_000_000
    hive.agents = [
        msgspec.structs.replace(hive.agents[1], description=long, problem=long)
    ]
    hive.set_approval(7, description=long, reason=long, widens=(long,))
    one = DiffLine(kind=LineKind.ADDED, text=long, old_no=None, new_no=1)
    hunk = Hunk(old_start=0, old_lines=0, new_start=1, new_lines=1, lines=(one,))
    file = msgspec.structs.replace(
        data.file_diff("agent.nix", "", "x"), path=long, hunks=(hunk,)
    )
    replace_diff(hive, file)
    hive.questions = [data.question(4, question=long)]
    hive.messages = hive.inbox = [data.message(31, body=long[:262144])]
    answer = operator.get(path)
    assert answer.status_code == 200
    assert "more characters" in answer.text


# --- errors ----------------------------------------------------------------------


def test_without_hived_pages_say_so_and_try_again(operator: Operator) -> None:
    operator.hive.stop()
    page = operator.get("/")
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "2"
    assert "The hive is not answering" in page.text
    assert 'http-equiv="refresh"' in page.text
    sent = operator.post("/send", {"to": "alice", "body": "x"})
    assert sent.status_code == 503
    assert "refresh" not in sent.text
    problem = operator.get("/api/status")
    assert problem.content_type == "application/problem+json"
    assert problem.json is not None
    assert problem.json["code"] == "unavailable"
    operator.hive.start()
    assert operator.get("/").status_code == 200


def test_a_restarted_hived_is_met_afresh(operator: Operator) -> None:
    assert operator.get("/").status_code == 200
    operator.hive.drop_connections()
    assert operator.get("/").status_code == 200


def test_a_bug_is_a_sentence(operator: Operator) -> None:
    async def broken(_params: object) -> object:
        raise HiveError(ErrorCode.INTERNAL, "agents failed inside the hive.")

    operator.hive.overrides["approval"] = broken
    page = operator.get("/approvals/7")
    assert page.status_code == 500
    assert "agents failed inside the hive." in page.text


def test_our_own_bug_is_a_sentence_without_a_traceback(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.web.views.approvals._by_effect", lambda _: 1 / 0)
    page = operator.get("/approvals/7")
    assert page.status_code == 500
    assert "the log of hive-web has the details" in page.text
    assert "Traceback" not in page.text
    assert "ZeroDivision" not in page.text


@pytest.mark.parametrize(
    "path", ["/nope", "/approvals/99", "/api/nope", "/agents/erin"]
)
def test_what_is_not_there(operator: Operator, path: str) -> None:
    answer = operator.get(path)
    assert answer.status_code == 404
    assert answer.content_type.startswith(
        "application/problem+json" if path.startswith("/api") else "text/html"
    )


# --- the JSON API ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/status", HiveStatus),
        ("/api/agents", AgentsView),
        ("/api/agents/alice", AgentDetail),
        ("/api/approvals", ApprovalsResult),
        ("/api/approvals?state=pending&agent=alice&limit=5", ApprovalsResult),
        ("/api/approvals/7", ApprovalDetail),
        ("/api/questions", QuestionsResult),
        ("/api/inbox", InboxResult),
        ("/api/messages?before=30&limit=2", MessagesResult),
        ("/api/operations", OperationsResult),
        ("/api/operations/11", Operation),
    ],
)
def test_the_api_answers_with_the_rpc_s_types(
    operator: Operator, path: str, kind: type
) -> None:
    answer = operator.get(path)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert isinstance(msgspec.json.decode(answer.data, type=kind), kind)


@pytest.mark.parametrize(
    "path", ["/api/approvals?state=nope", "/api/agents/A", "/api/messages?agent=A"]
)
def test_the_api_refuses_with_a_sentence(operator: Operator, path: str) -> None:
    answer = operator.get(path)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"]


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
    ("query", "said"), [("kind=gossip", "kind is one of"), ("agent=../x", "name")]
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
    assert "Message 9 was sent to all agents. The inbox of bob is full." in page.text
