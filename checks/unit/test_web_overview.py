"""The overview of many agents: search, marks of a row, kept state, drafts, the stop."""

import gzip
import html
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from checks import fake_hive
from checks import web_data as data
from checks.fake_hive import FakeHive
from checks.web_kit import Operator, make_app
from pyglue.api.common import AgentState
from pyglue.api.control import ModelStatus
from pyglue.api.lifecycle import PurgeParams
from pyglue.web.roster import Roster


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHive]:
    socket = tmp_path_factory.mktemp("hive") / "operator.sock"
    with fake_hive.running(socket) as started:
        yield started


@pytest.fixture(scope="module")
def app(running: FakeHive) -> Flask:
    return make_app(running)


@pytest.fixture
def operator(running: FakeHive, app: Flask) -> Operator:
    running.reset()
    return Operator(running, app, running.new_session())


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
    assert "No agent matches" in operator.get(html.unescape(place)).text


def test_everybody_can_be_written_to_whatever_is_listed(operator: Operator) -> None:
    page = operator.get("/?q=alice").text
    assert re.findall("<option>([a-z]+)</option>", page) == [
        one.name for one in operator.hive.agents
    ]


def test_a_form_of_a_searched_list_leads_back_to_it(operator: Operator) -> None:
    page = operator.get("/?q=a%26b+c&state=idle").text
    assert not re.findall("agents-power", page)  # nothing is listed
    part = operator.get("/?q=alice&state=idle").text
    (back,) = re.findall(r'name="back" value="(/\?[^"]*)"', part)
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
        "needs an update",
        "port 8123 is taken",
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
    assert Roster(" ".join("abcdefgh") + " nowhere").choose(agents) == ()
    assert Roster("word " * 50).choose(agents) == agents


# --- kept state and drafts ------------------------------------------------------------


def test_nothing_is_shown_of_what_there_is_not(operator: Operator) -> None:
    for name in ("kept", "drafts"):
        assert operator.get(f"/fragments/{name}").text.strip() == ""


def test_kept_state_comes_first(operator: Operator) -> None:
    operator.hive.kept = [
        data.kept("olga"),
        data.kept("pete", commit=None, mail=0),
        data.kept("quin", pending_approval=7),
    ]
    page = operator.get("/").text
    assert page.index("olga") < page.index("Waiting for your approval")
    assert "2 messages wait" in page and "3.2 MiB kept" in page
    assert page.count("/restore") == 1
    assert page.count("/purge") == 3


def test_restoring_leads_to_the_approval(operator: Operator) -> None:
    answer = operator.post("/kept/olga/restore")
    assert (answer.status_code, answer.location) == (303, "/approvals/8")
    assert operator.hive.called("restore")[0].agent == "olga"


def test_purging_repeats_the_name(operator: Operator) -> None:
    assert operator.post("/kept/olga/purge", {"confirm": " "}).status_code == 400
    assert not operator.hive.called("purge")
    assert operator.post("/kept/olga/purge", {"confirm": "olga"}).status_code == 303
    assert operator.hive.called("purge") == [PurgeParams(agent="olga", confirm="olga")]


def test_discarding_a_draft(operator: Operator) -> None:
    operator.hive.drafts = [data.draft("rita")]
    page = operator.get("/").text
    assert "Will answer questions about releases" in page
    assert operator.post("/drafts/rita/discard").status_code == 303
    assert operator.hive.called("draft_discard")[0].agent == "rita"


@pytest.mark.parametrize(
    "path", ["/kept/A/restore", "/kept/x_y/purge", "/drafts/1/discard"]
)
def test_what_is_no_name_is_refused(operator: Operator, path: str) -> None:
    assert operator.post(path, {"confirm": "x"}).status_code == 400


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
    assert "The whole hive is paused." in operator.get("/fragments/banner").text
    assert 'action="/resume"' in operator.get("/messages").text
    assert operator.post("/resume").status_code == 303
    assert "The whole hive is paused." not in operator.get("/").text
