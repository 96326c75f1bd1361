"""An agent's page, and its buttons."""

import re
import time

import msgspec
import pytest

from checks.kits.web import data
from checks.kits.web.app import Operator, refusing
from checks.kits.web.data import message
from pyglue.api.accounts import SetAccountParams
from pyglue.api.common import AgentState
from pyglue.api.control import (
    AfterCancel,
    Blocked,
    BlockReason,
    CancelTurnOfParams,
    ModelStatus,
    SetModelParams,
)
from pyglue.api.messages import Progress, ShownMessage, Stage
from pyglue.api.overview import EgressTotals, HostUse, Step
from pyglue.api.queue import QueuedMessage
from pyglue.errors import ErrorCode


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


@pytest.mark.parametrize("state", data.STUCK)
def test_an_agent_in_trouble_is_resumed_from_its_row_its_page_and_the_top(
    operator: Operator, state: AgentState
) -> None:
    blocked = Blocked(reason=BlockReason.NEEDS_LOGIN, text="No key.", remedy="Add it.")
    operator.hive.agents = [
        data.agent("a", state=state, blocked=blocked),
        data.agent("well"),
    ]
    button = 'formaction="/agents/a/do/resume"'
    for place in ("/fragments/needs", "/fragments/agents", "/agents/a"):
        assert operator.get(place).text.count(button) == 1, place
    assert "/agents/well/do/resume" not in operator.get("/").text
    assert operator.post("/agents/a/do/resume").status_code == 303
    assert [one.agent for one in operator.hive.called("resume")] == ["a"]


@pytest.mark.parametrize("path", ["/agents/alice/explode", "/agents/alice/"])
def test_other_actions_are_not_found(operator: Operator, path: str) -> None:
    assert operator.post(path).status_code == 404


@pytest.mark.parametrize("name", ["A", "toolongname", "x_y", "..", "a%0ab", "%3Cb%3E"])
def test_what_is_no_name_does_not_reach_hived(operator: Operator, name: str) -> None:
    assert operator.post(f"/agents/{name}/stop").status_code in (400, 404)
    assert not operator.hive.called("stop")


def test_an_agent_s_mail_and_what_it_waits_for(operator: Operator) -> None:
    page = operator.get("/agents/carol").text
    part = operator.get("/fragments/agent/carol/messages").text
    for text in (page, part):
        assert "The build needs a newer compiler." in text
        assert 'href="/#question-4"' in text
        assert 'href="/messages?agent=carol"' in text
    asked = operator.hive.called("messages")
    assert {one.agent for one in asked} == {"carol"}
    assert operator.get("/fragments/agent/nobody/messages").status_code == 404


def test_a_refused_button_leads_back_to_the_agent(operator: Operator) -> None:
    operator.hive.overrides["stop"] = refusing(ErrorCode.CONFLICT, "It stops already.")
    answer = operator.post("/agents/alice/stop")
    assert answer.status_code == 409
    assert 'href="/agents/alice"' in answer.text


def test_the_queue_of_an_agent_is_shown_and_changed(operator: Operator) -> None:
    waits = msgspec.structs.asdict(message(8, recipient="alice", body="<b>8</b>"))
    works = msgspec.structs.asdict(message(7, recipient="alice"))
    operator.hive.queues["alice"] = (
        QueuedMessage(
            **works, leased=True, turn=41, deliveries=2, reasons=("it <broke>",)
        ),
        QueuedMessage(**waits, last=True),
    )
    for path in ("/agents/alice", "/fragments/agent/alice/queue"):
        page = operator.get(path).text
        assert "in turn 41" in page and "it &lt;broke&gt;" in page
        assert "&lt;b&gt;8" in page and "<b>8" not in page
        assert 'formaction="/agents/alice/queue/8/drop"' in page
        assert page.count('name="cancel_turn" value="yes"') == 1
    assert 'href="#queue"' in operator.get("/agents/alice").text
    answer = operator.post("/agents/alice/queue/7/drop", {"cancel_turn": "yes"})
    assert (answer.status_code, answer.location) == (303, "/agents/alice")
    assert operator.post("/agents/alice/api/queue/8/later").status_code == 200
    (dropped,) = operator.hive.called("queue_drop")
    (moved,) = operator.hive.called("queue_later")
    assert (dropped.agent, dropped.message, dropped.cancel_turn) == ("alice", 7, True)
    assert (moved.agent, moved.message, moved.cancel_turn) == ("alice", 8, False)
    assert operator.post("/agents/alice/queue/7/explode").status_code == 404
    assert operator.post("/agents/alice/queue/0/drop").status_code == 404


@pytest.mark.parametrize(
    ("override", "selected"),
    [
        (None, '"default" selected>haiku (as approved)<'),
        ("opus", '"opus" selected>opus<'),
        ("gone/x", '"gone/x" selected>gone/x<'),
    ],
)
def test_the_model_is_chosen_from_a_list(
    operator: Operator, override: str | None, selected: str
) -> None:
    now = ModelStatus(manifest="haiku", active="haiku", override=override)
    view = operator.hive.agents[1]
    operator.hive.agents[1] = msgspec.structs.replace(view, model_status=now)
    page = operator.get(f"/agents/{view.name}").text
    (choice,) = re.findall(r'<select id="model-.*?</select>', page)
    assert choice.count(" selected") == 1 and selected in choice
    assert '<option value="sonnet">sonnet</option>' in choice


def test_a_chosen_model_is_used_unless_hived_refuses_it(operator: Operator) -> None:
    hive = operator.hive
    answer = operator.post("/agents/alice/do/model", {"word": "opus"})
    assert (answer.status_code, answer.location) == (303, "/agents/alice")
    assert hive.called("set_model") == [SetModelParams(agent="alice", model="opus")]
    hive.overrides["reset_model"] = refusing(ErrorCode.CONFLICT, "It has that one.")
    answer = operator.post("/agents/alice/do/model", {"word": "default"})
    assert answer.status_code == 409


def test_the_parts_of_an_agent_s_page_are_links_to_sections(
    operator: Operator,
) -> None:
    page = operator.get("/agents/alice").text
    (tabs,) = re.findall(r"<nav[^>]* data-tabs.*?</nav>", page)
    found = re.findall(r'href="#(\w+)"', tabs)
    assert found == ["log", "metrics", "nix"]
    assert all(page.count(f'<section id="{one}"') == 1 for one in found)


def test_a_queued_message_is_removed_in_the_conversation(operator: Operator) -> None:
    said = msgspec.structs.asdict(
        message(43, sender="operator", recipient="alice", body="Wait for me.")
    )
    queued, got = (Progress(stage=one) for one in (Stage.QUEUED, Stage.DELIVERED))
    form = 'action="/agents/alice/queue/43/drop"'
    for progress, offered in ((queued, True), (got, False)):
        operator.hive.messages = [ShownMessage(**said, progress=progress)]
        page = operator.get("/fragments/agent/alice/talk").text
        assert (form in page) is offered


@pytest.mark.parametrize(("is_long", "is_late"), [(0, 0), (1, 0), (1, 1)])
def test_a_step_is_shown_once_it_takes_long(
    operator: Operator, is_long: int, is_late: int
) -> None:
    step = Step(
        text="Bash: <b>npm test",
        since_at=time.time() - 12.5 * 60,
        is_long=bool(is_long),
        is_late=bool(is_late),
    )
    thinking = AgentState.THINKING
    operator.hive.agents = [data.agent("erin", state=thinking, step=step)]
    html = operator.get("/agents/erin").text
    assert html.count('data-testid="step"') == is_long
    part = html.partition('data-testid="step"')[2][:300]
    assert ("Bash: &lt;b&gt;npm test" in part) == bool(is_long)
    assert (">for 12 min</time>" in part) == bool(is_long)
    before = html.partition("Bash: &lt;b&gt;npm test")[0][-80:]
    assert ("bad" in before) == bool(is_late)


@pytest.mark.parametrize("is_late", [False, True])
def test_the_overview_shows_every_step_and_marks_a_late_one(
    operator: Operator, is_late: bool
) -> None:
    since = time.time() - 12.5 * 60
    step = Step(text="Bash: ls", doing="runs `<b>ls`", since_at=since, is_late=is_late)
    operator.hive.agents = [data.agent("erin", state=AgentState.THINKING, step=step)]
    (cell,) = re.findall(r'<td[^>]*data-testid="doing".*?</td>', operator.get("/").text)
    assert "runs <code>&lt;b&gt;ls</code>" in cell
    assert ">for 12 min</time>" in cell
    assert ('class="doing bad"' in cell) == is_late


@pytest.mark.parametrize("then", list(AfterCancel))
def test_a_turn_is_cancelled_with_a_choice_for_its_messages(
    operator: Operator, then: AfterCancel
) -> None:
    thinking = AgentState.THINKING
    operator.hive.agents = [data.agent("alice", state=thinking, turn=5)]
    page = operator.get("/agents/alice").text
    assert f'<option value="{then}">' in page
    answer = operator.post("/agents/alice/cancel", {"messages": then.value})
    assert (answer.status_code, answer.location) == (303, "/agents/alice")
    (params,) = operator.hive.called("cancel")
    assert params == CancelTurnOfParams(agent="alice", messages=then)


def test_no_turn_no_button_and_no_other_choice(operator: Operator) -> None:
    for state in AgentState:
        operator.hive.agents = [data.agent("alice", state=state)]
        page = operator.get("/agents/alice").text
        assert 'action="/agents/alice/cancel"' not in page, state
    for form in ({}, {"messages": "burn"}):
        assert operator.post("/agents/alice/cancel", form).status_code == 400
    assert not operator.hive.called("cancel")


def test_a_refused_command_becomes_a_message_to_the_manager(operator: Operator) -> None:
    page = operator.get("/agents/alice/allow?pattern=npm+run+*").text
    assert "<code>npm run *</code>" in page
    assert "add the pattern &#39;npm run *&#39; to hyperhive.bash.allow" in page
    assert '<input type="hidden" name="to" value="manager">' in page
    assert not operator.hive.called("operator_send")
    everything = operator.get("/agents/alice/allow?pattern=*").text
    assert "the agent can run any that the gate knows" in everything


def test_the_hosts_of_an_agent(operator: Operator) -> None:
    hive = operator.hive
    assert 'data-testid="hosts"' not in operator.get("/agents/alice").text
    (index,) = [n for n, one in enumerate(hive.agents) if one.name == "alice"]
    hive.agents[index] = data.agent(
        "alice", hosts=("github.com", "*.x.org"), egress=EgressTotals(connected=3)
    )
    assert "None yet." in operator.get("/fragments/agent/alice/hosts").text
    why = "You may not reach <b>. Ask the manager."
    hive.hosts = (
        HostUse(host="evil.org", port=8443, refused=why, connections=7),
        HostUse(host="github.com", port=443, refused="not public", connections=1),
        HostUse(
            host="github.com", port=443, connections=2, sent=2048, received=3 * 2**20
        ),
        HostUse(host="other hosts", port=0, refused="They were refused."),
    )
    for path in ("/agents/alice", "/fragments/agent/alice/hosts"):
        page = operator.get(path).text
        assert "<code>github.com</code>, <code>*.x.org</code>" in page
        assert "2 connections, 2.0 KiB sent, 3.0 MiB received" in page
        assert "You may not reach &lt;b&gt;." in page
        assert page.count("Ask the manager to allow it") == 1
        assert 'href="/agents/alice/allow?host=evil.org%3A8443"' in page
    assert ">2 hosts</span>" in operator.get("/agents/alice").text


def test_a_refused_host_becomes_a_message_to_the_manager(operator: Operator) -> None:
    page = operator.get("/agents/alice/allow?host=*.example.org:8443").text
    assert "<code>*.example.org:8443</code>" in page
    assert "add &#39;*.example.org:8443&#39; to hyperhive.network.allow" in page
    assert "It can send everything it knows there." in page
    for bad in ("", "a b", "%3Cb%3E", "a.org%0a", "A.org", "a.org'", "x" * 300):
        answer = operator.get(f"/agents/alice/allow?host={bad}")
        assert answer.status_code == 400
        assert "Invalid host" in answer.text
    assert not operator.hive.called("operator_send")


@pytest.mark.parametrize(
    "pattern",
    ["", "a;b", "a%20%20b", "a%0ab", "%3Cb%3E", "'", "a" * 301, "a%E2%80%AEb"],
)
def test_what_is_no_pattern_makes_no_message(operator: Operator, pattern: str) -> None:
    answer = operator.get(f"/agents/alice/allow?pattern={pattern}")
    assert answer.status_code == 400
    assert "Invalid Bash pattern" in answer.text
    assert operator.get("/agents/nobody/allow?pattern=a").status_code == 404


@pytest.mark.parametrize("page", ["/", "/agents/erin"])
@pytest.mark.parametrize("held", [0, 200 << 20])
def test_an_agent_whose_cli_waits_is_marked_warm(
    operator: Operator, page: str, held: int
) -> None:
    operator.hive.agents = [data.agent("erin", warm_bytes=held)]
    html = operator.get(page).text
    assert html.count('data-testid="warm"') == bool(held)
    assert ("with 200 MiB of memory" in html) is bool(held)


# --- who pays -------------------------------------------------------------------------


def several(operator: Operator, account: str) -> None:
    operator.hive.accounts = ("main", "team")
    changed = {"account": account, "is_estimate": account == "team"}
    operator.hive.agents = [
        msgspec.structs.replace(one, **changed) for one in operator.hive.agents
    ]


def test_with_one_account_there_is_no_choice(operator: Operator) -> None:
    assert "Account that pays" not in operator.get("/agents/alice").text


def test_another_account_is_chosen_on_the_agent_s_page(operator: Operator) -> None:
    several(operator, "main")
    page = operator.get("/agents/alice").text
    assert '<option value="main" selected>main (default)</option>' in page
    assert '<option value="team">team</option>' in page
    assert "≈" not in operator.get("/").text
    answer = operator.post("/agents/alice/account", {"account": "team"})
    assert (answer.status_code, answer.location) == (303, "/agents/alice")
    assert operator.hive.called("set_account") == [
        SetAccountParams(agent="alice", account="team")
    ]
    same = operator.post("/agents/alice/account", {"account": "main"})
    assert "alice already uses main" in same.text
    assert len(operator.hive.called("set_account")) == 1


def test_the_default_account_is_the_choice_of_none(operator: Operator) -> None:
    several(operator, "team")
    assert "≈ $" in operator.get("/agents/alice").text
    assert "≈ $" in operator.get("/").text
    operator.post("/agents/alice/account", {"account": "main"})
    assert operator.hive.called("set_account") == [SetAccountParams(agent="alice")]


@pytest.mark.parametrize("path", ["/charts", "/agents/alice"])
def test_costs_of_a_subscription_are_estimates_in_charts_too(
    operator: Operator, path: str
) -> None:
    several(operator, "main")
    assert "estimates at list prices" not in operator.get(path).text
    several(operator, "team")
    assert "estimates at list prices" in operator.get(path).text


def test_an_account_that_is_gone_is_said(operator: Operator) -> None:
    several(operator, "old")
    page = operator.get("/agents/alice").text
    assert '<option value="" selected>old (not configured)</option>' in page
    assert operator.post("/agents/alice/account", {"account": ""}).status_code == 400
    assert not operator.hive.called("set_account")
