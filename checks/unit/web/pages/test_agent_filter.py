"""The list of agents: its search, its order and its marks."""

import gzip
import html
import re
from typing import Any

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from pyglue.api.common import AgentState
from pyglue.api.control import ModelStatus
from pyglue.web.pages.agent_filter import AgentFilter


# --- the list of agents --------------------------------------------------------------
def listed(operator: Operator, query: str) -> list[str]:
    """Return the agents that page and fragment list, which are the same."""
    page, part = (operator.get(path + query).text for path in ("/", FRAGMENT))
    found = re.findall(r'data-testid="agent" data-agent="([^"]+)"', page)
    assert found == re.findall(r'data-testid="agent" data-agent="([^"]+)"', part)
    return found


FRAGMENT = "/fragments/agents"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["manager", "alice", "bob", "carol", "dave"]),
        ("?q=&state=", ["manager", "alice", "bob", "carol", "dave"]),
        ("?q=CAROL", ["carol"]),
        ("?q=rate+limited", ["carol"]),
        ("?q=tickets+watches", ["bob"]),
        ("?q=opus", ["carol"]),
        ("?state=stopped", ["dave"]),
        ("?state=attention", ["bob", "carol"]),
        ("?state=attention&q=tracker", ["bob"]),
        ("?state=nonsense", ["manager", "alice", "bob", "carol", "dave"]),
        ("?q=nobody", []),
        (f"?q={'x' * 5000}", []),
        ("?q=%3Cscript%3E%22%27%26", []),
    ],
)
def test_the_list_is_searched(operator: Operator, query: str, names: list[str]) -> None:
    assert listed(operator, query) == names


def test_the_fragment_s_address_carries_the_search(operator: Operator) -> None:
    page = operator.get("/?q=%22+a%26b&state=idle").text
    (place,) = re.findall(r'data-fragment="(/fragments/agents[^"]*)"', page)
    assert html.unescape(place) == "/fragments/agents?q=%22+a%26b&state=idle"
    assert 'value="&#34; a&amp;b"' in page
    assert '<option value="idle" selected>' in page
    assert "No matching agents" in operator.get(html.unescape(place)).text


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("", "caro bob alice dave"),
        ("nonsense", "caro bob alice dave"),
        ("--cost", "caro bob alice dave"),
        ("name", "alice bob caro dave"),
        ("-name", "dave caro bob alice"),
        ("state", "caro bob dave alice"),
        ("-state", "alice dave bob caro"),
        ("model", "bob alice dave caro"),
        ("context", "bob dave caro alice"),  # without a value: last, as listed
        ("-context", "dave bob caro alice"),
        ("inbox", "dave caro bob alice"),
        ("turn", "bob caro alice dave"),
        ("-turn", "caro bob alice dave"),
        ("cost", "dave bob caro alice"),
        ("-cost", "alice caro bob dave"),
    ],
)
def test_the_list_is_sorted(operator: Operator, sort: str, names: str) -> None:
    def one(name: str, state: AgentState, cost: float, inbox: int, **more: Any) -> Any:
        fields = {"state": state, "cost_today_usd": cost, "inbox": inbox, **more}
        return data.agent(name, **fields)

    operator.hive.agents = [
        one("caro", AgentState.FAILED, 1, 3, model="opus", last_turn_at=data.NOW - 60),
        one("bob", AgentState.THINKING, 2, 1, context_fill=0.9, last_turn_at=data.NOW),
        one("alice", AgentState.STOPPED, 0, 0, last_turn_at=None),
        one("dave", AgentState.IDLE, 9, 7, context_fill=0.0, last_turn_at=None),
    ]
    assert listed(operator, f"?sort={sort}") == names.split()


def test_the_order_stays_with_every_link_and_form_of_the_list(
    operator: Operator,
) -> None:
    page = html.unescape(operator.get("/?q=a&sort=cost").text)
    assert 'data-fragment="/fragments/agents?q=a&sort=cost"' in page
    assert '<option value="cost" selected>Cost today: highest first' in page
    assert 'href="/?sort=cost#agents">Show all' in page
    assert 'href="/?q=a&sort=name#agents" data-sort>Agent' in page
    assert 'aria-sort="descending"><a href="/?q=a&sort=-cost#agents"' in page
    assert page.count("aria-sort=") == 1
    again = html.unescape(operator.get("/?sort=-cost").text)
    assert 'aria-sort="ascending"><a href="/?sort=cost#agents"' in again
    assert "matching agent" not in again


def test_every_state_has_its_place_in_the_order(operator: Operator) -> None:
    operator.hive.agents = [
        data.agent(f"a{n}", state=one) for n, one in enumerate(AgentState)
    ]
    assert len(listed(operator, "?sort=state")) == len(AgentState)


def test_everybody_can_be_written_to_whatever_is_listed(operator: Operator) -> None:
    page = operator.get("/?q=alice").text
    assert re.findall("<option>([a-z]+)</option>", page) == [
        one.name for one in operator.hive.agents
    ]


def test_a_form_of_a_searched_list_leads_back_to_it(operator: Operator) -> None:
    page = operator.get("/?q=a%26b+c&state=idle").text
    assert not re.findall("agents-power", page)  # nothing is listed
    part = operator.get("/?q=alice&state=idle").text
    (back,) = set(re.findall(r'name="back" value="(/\?[^"]*)"', part))
    answer = operator.post("/agents/alice/stop", {"back": html.unescape(back)})
    assert answer.location == "/?q=alice&state=idle#agents"


@pytest.mark.parametrize(
    "back", ["/?q=a\r\nX: y", "/?q=<b>", "/?" + "q" * 900, "/?//evil.example"]
)
def test_no_other_query_is_led_back_to(operator: Operator, back: str) -> None:
    assert operator.post("/agents/bob/stop", {"back": back}).location == "/#agents"


def test_a_row_has_its_marks(operator: Operator) -> None:
    operator.hive.agents = [
        data.agent(
            "erin",
            paused=True,
            needs_update=True,
            port=8123,
            port_conflict="Something else <listens> there.",
            model="opus",
            model_status=ModelStatus(
                manifest="haiku", active="opus", queued="sonnet", override="opus"
            ),
            context_fill=0.834,
            last_turn_outcome="max_turns",
            inbox=17,
        ),
        data.agent("frank", state=AgentState.NEEDS_LOGIN, last_turn_outcome="ok"),
        data.agent("grace", state=AgentState.OVER_BUDGET),
    ]
    page = operator.get("/").text
    for words in (
        '<span class="tag warn">paused</span>',
        "needs update",
        "port 8123 in use",
        "Something else &lt;listens&gt; there.",
        "switched</span>",
        "next: sonnet",
        'value="83" aria-label="Context 83 % full"',
        '<span class="tag warn">max turns</span>',
        '<td data-label="Inbox" class="num">17</td>',
        "needs login</span>",
        "over budget</span>",
        '<span class="hint">unknown</span>',
    ):
        assert words in page, words
    assert listed(operator, "?state=attention") == ["erin", "frank", "grace"]
    assert listed(operator, "?state=paused") == ["erin"]


def test_two_hundred_agents_are_a_small_page(operator: Operator) -> None:
    operator.hive.agents = [data.agent(f"a{n}", context_fill=0.4) for n in range(200)]
    page = operator.get("/").data
    assert len(gzip.compress(page, 6)) < 60 * 1024
    assert len(page) < 500 * 1024


def test_a_search_costs_its_words_only() -> None:
    agents = (data.agent("alice", description="word " * 2000),)
    assert AgentFilter(" ".join("abcdefgh") + " nowhere").choose(agents) == ()
    assert AgentFilter("word " * 50).choose(agents) == agents
