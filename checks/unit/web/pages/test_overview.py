"""The overview: its sections, what it says first, the stop, and what it costs."""

import gzip
import html
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, refusing
from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.errors import ErrorCode
from pyglue.web.pages.first_steps import EXAMPLES


def test_sections_come_in_the_order_of_need(operator: Operator) -> None:
    html = operator.get("/").text
    names = re.findall(r'<section id="(\w+)"', html)
    assert names == [
        "today",
        "needs",
        "agents",
        "inbox",
        "send",
        "spawn",
        "messages",
        "drafts",
        "kept",
    ]


def test_the_overview_says_what_is_so(operator: Operator) -> None:
    operator.hive.warnings = ("The same uid could open <operator.sock>.",)
    html = operator.get("/").text
    assert "scripted model (no cost)" in html
    assert "The same uid could open &lt;operator.sock&gt;." in html
    assert "More permissions" in html
    assert "rate limited" in html
    assert "until 14:30 UTC" in html
    assert "$12.50" in html
    assert "did not connect: exit status 1" in html
    assert "Use the old compiler" in html


def test_a_failed_deploy_counts_from_its_decision_and_while_its_agent_is_there(
    operator: Operator,
) -> None:
    def shown(**fields: object) -> bool:
        operator.hive.set_approval(6, **fields)
        return 'data-id="6"' in operator.get("/fragments/needs").text

    day, bob = 86400.0, {"agent": "bob", "state": ApprovalState.FAILED}
    assert shown(**bob, created_at=data.NOW - 20 * day, decided_at=data.NOW)
    assert not shown(decided_at=data.NOW - 8 * day)
    assert not shown(decided_at=data.NOW, agent="destroyed")
    assert shown(kind=ApprovalKind.SPAWN)


def test_the_overview_is_small(operator: Operator) -> None:
    full = operator.hive
    full.agents = [data.agent(f"a{n}") for n in range(60)]
    full.messages = [data.message(n, body="word " * 400) for n in range(99, 1, -1)]
    full.inbox = [data.message(n, body="word " * 4000) for n in range(99, 1, -1)]
    page = operator.get("/")
    assert len(gzip.compress(page.data)) < 150 * 1024
    assert len(page.data) < 400 * 1024


def test_one_failing_section_leaves_the_others(operator: Operator) -> None:
    operator.hive.overrides["messages"] = refusing(
        ErrorCode.INTERNAL, "The flow broke."
    )
    page = operator.get("/")
    assert page.status_code == 200
    assert "Could not load this section: The flow broke." in page.text
    assert "carol" in page.text


# --- the stop ------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/", "/approvals", "/agents/alice", "/messages"])
def test_every_page_can_stop_the_hive(operator: Operator, path: str) -> None:
    page = operator.get(path).text
    assert 'action="/pause"' in page
    assert 'action="/resume"' not in page


def test_the_stop_and_the_way_back(operator: Operator) -> None:
    answer = operator.post("/pause", {"reason": "A loop."})
    assert answer.status_code == 303
    assert operator.hive.called("pause_all")[0].reason == "A loop."
    assert "The whole hive is paused</b> by" in operator.get("/fragments/banner").text
    assert 'action="/resume"' in operator.get("/messages").text
    assert operator.post("/resume").status_code == 303
    assert "The whole hive is paused" not in operator.get("/").text


@pytest.mark.parametrize("path", ["/", "/approvals", "/messages", "/agents/alice"])
def test_a_page_says_what_it_is_about(operator: Operator, path: str) -> None:
    assert operator.get(path).text.count('<meta name="description" content="') == 1


def test_the_earlier_address_of_the_metrics_page_redirects(operator: Operator) -> None:
    answer = operator.get("/figures")
    assert answer.status_code == 301
    assert answer.headers["Location"].endswith("/charts")
    assert "<h1>Metrics</h1>" in operator.get("/charts").text


# --- what it costs --------------------------------------------------------------------
def costs(operator: Operator, **dollars: float) -> None:
    operator.hive.agents = [
        data.agent(name, cost_today_usd=cost) for name, cost in dollars.items()
    ]


@pytest.mark.parametrize("path", ["/", "/fragments/today"])
def test_the_cost_of_today_and_the_three_dearest_agents(
    operator: Operator, path: str
) -> None:
    costs(operator, a=0.5, b=12.0, c=0.0, d=3.25, e=0.25)
    page = operator.get(path).text
    said = page[page.index('class="today"') :].split("</p>")[0]
    assert "$16.00" in said
    assert re.findall(r'href="/agents/(.)"', said) == ["b", "d", "a"]
    assert "≈" not in said


def test_a_filter_does_not_change_what_the_hive_costs(operator: Operator) -> None:
    costs(operator, a=1.0, b=2.0)
    page = operator.get("/?q=a").text
    assert "$3.00" in page[page.index('class="today"') :].split("</p>")[0]


def test_a_day_without_cost_names_no_agent(operator: Operator) -> None:
    costs(operator, a=0.0)
    said = operator.get("/fragments/today").text
    assert "most expensive" not in said and "/agents/" not in said


def test_what_a_subscription_pays_makes_the_sum_an_estimate(
    operator: Operator,
) -> None:
    costs(operator, a=1.0)
    operator.hive.agents.append(data.agent("b", cost_today_usd=2.0, is_estimate=True))
    assert "≈ $3.00" in operator.get("/fragments/today").text


def test_questions_are_read_once_for_queue_and_activity(operator: Operator) -> None:
    operator.get("/")
    assert len(operator.hive.called("questions")) == 1


# --- what waits, on every page -----------------------------------------------------
@pytest.mark.parametrize("path", ["/", "/approvals", "/agents/alice", "/charts"])
def test_every_page_counts_what_needs_the_operator(
    operator: Operator, path: str
) -> None:
    page = operator.get(path).text
    assert "<title>(5) " in page
    assert 'rel="icon" href="/favicon/5.svg"' in page
    assert 'data-needs="5"' in page
    (at,) = re.findall(r'data-fragment="(/fragments/nav[^"]*)"', page)
    assert operator.get(html.unescape(at)).text.strip() in page


def test_a_source_that_cannot_be_read_leaves_the_other_counts(
    operator: Operator,
) -> None:
    operator.hive.overrides["agents"] = refusing(ErrorCode.INTERNAL, "It broke.")
    page = operator.get("/charts").text
    assert "<title>(3) Metrics" in page  # of what could be read
    assert ">Overview" in operator.get("/nowhere").text


def test_the_icon_has_a_digit(operator: Operator, stranger: Operator) -> None:
    for number, text in ((1, "1"), (9, "9"), (10, "9+"), (10**30, "9+")):
        icon = operator.get(f"/favicon/{number}.svg")
        assert icon.content_type == "image/svg+xml"
        assert f">{text}</text>" in icon.text
    assert operator.get("/favicon/x.svg").status_code == 404
    assert stranger.get("/favicon/1.svg").status_code == 401


def test_a_manager_that_is_alone_gets_first_steps(operator: Operator) -> None:
    everyone = operator.hive.agents
    assert 'id="first"' not in operator.get("/?example=2").text

    operator.hive.agents = [one for one in everyone if one.name == "manager"]
    page = html.unescape(operator.get("/").text)
    assert all(f"{text}</a>" in page for text in EXAMPLES)
    assert not any(f"{text}</textarea>" in page for text in EXAMPLES)
    chosen = html.unescape(operator.get("/?example=2").text)
    assert f"{EXAMPLES[1]}</textarea>" in chosen


@pytest.mark.parametrize("example", ["0", "4", "-1", "<b>", "1" * 9])
def test_an_example_that_there_is_not_fills_nothing(
    operator: Operator, example: str
) -> None:
    page = html.unescape(operator.get(f"/?example={quote(example)}").text)
    assert 'placeholder="Message to the agent…"></textarea>' in page


def test_sections_that_show_the_agents_are_read_together(operator: Operator) -> None:
    page = operator.get("/?state=attention").text
    places = re.findall(r'data-together data-fragment="([^"]*)"', page) + re.findall(
        r'data-fragment="([^"]*)" data-on="[^"]*" data-always data-together', page
    )
    asked = [html.unescape(one) for one in places]
    assert len(asked) == 5
    operator.hive.calls.clear()
    answer = operator.get(
        "/fragments/together?" + urlencode([("of", x) for x in asked])
    )
    found: Any = answer.json
    assert set(found) == set(asked)
    assert [name for name, _ in operator.hive.calls].count("agents") == 1
    for place in asked:
        assert found[place] == operator.get(place).text
    refused = operator.get("/fragments/together?of=/fragments/inbox")
    assert refused.status_code == 404
