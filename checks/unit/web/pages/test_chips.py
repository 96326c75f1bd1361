"""The counts above the agents table, and the groups that they filter by."""

import html
import re

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, refusing
from pyglue.api.common import AgentState
from pyglue.api.messages import Priority
from pyglue.errors import ErrorCode

_CHIP = re.compile(
    r'<a class="chip" href="([^"]*)"[^>]*?(aria-current="true")?>([\w ]+) <b>(\d+)</b>'
)


def chips(operator: Operator, query: str = "") -> dict[str, tuple[int, str]]:
    """Return the count and address of each, which page and fragment agree on."""
    page, part = (operator.get(path + query).text for path in ("/", "/fragments/chips"))
    found, same = _CHIP.findall(page), _CHIP.findall(part)
    assert found == same
    return {
        label: (int(count), html.unescape(href).removesuffix("#agents"))
        for href, _, label, count in found
    }


def listed(operator: Operator, query: str) -> list[str]:
    page, part = (operator.get(p + query).text for p in ("/", "/fragments/agents"))
    found = re.findall(r'data-testid="agent" data-agent="([^"]+)"', page)
    assert found == re.findall(r'data-testid="agent" data-agent="([^"]+)"', part)
    return found


def test_every_chip_shows_as_many_agents_as_it_says(operator: Operator) -> None:
    states = [*AgentState] * 2
    operator.hive.agents = [
        data.agent(f"a{n}", state=state) for n, state in enumerate(states)
    ]
    found = chips(operator)
    assert list(found) == ["All", "Working", "Needs you", "Idle", "Stopped", "Paused"]
    assert {label: count for label, (count, _) in found.items()} == {
        "All": len(states),
        "Working": 8,
        "Needs you": 14,
        "Idle": 2,
        "Stopped": 2,
        "Paused": 2,
    }
    for count, query in found.values():
        assert len(listed(operator, query.removeprefix("/"))) == count


def test_nobody_paused_is_not_worth_a_chip(operator: Operator) -> None:
    assert "Paused" not in chips(operator)
    assert chips(operator, "?state=paused")["Paused"][0] == 0


def test_chips_count_what_the_search_finds_and_keep_it(operator: Operator) -> None:
    found = chips(operator, "?q=a&state=idle&sort=-cost")
    assert found["All"] == (5, "/?q=a&sort=-cost")
    assert found["Idle"] == (1, "/?q=a&state=idle&sort=-cost")
    assert chips(operator, "?q=nobody")["All"][0] == 0


@pytest.mark.parametrize(
    ("query", "current"),
    [
        ("", "All"),
        ("?state=needs-you", "Needs you"),
        ("?state=idle&q=x", "Idle"),
        ("?state=thinking", None),
    ],
)
def test_the_chosen_chip_is_marked(
    operator: Operator, query: str, current: str | None
) -> None:
    found = _CHIP.findall(operator.get(f"/{query}").text)
    marked = [label for _, now, label, _ in found if now]
    assert marked == ([current] if current else [])


def test_who_is_in_the_queue_needs_you(operator: Operator) -> None:
    """alice's change waits, bob and carol are in trouble; a message is no matter."""
    assert listed(operator, "?state=needs-you") == ["alice", "bob", "carol"]
    operator.hive.questions = [data.question(9, asker="dave")]
    assert listed(operator, "?state=needs-you") == ["alice", "bob", "carol", "dave"]
    assert chips(operator)["Needs you"][0] == 4
    operator.hive.questions = []
    for one in (Priority.NORMAL, Priority.HIGH):
        sent = data.message(90, sender="dave", recipient="operator", priority=one)
        operator.hive.inbox = [sent]
        counts = "dave" in listed(operator, "?state=needs-you")
        assert counts is (one is Priority.HIGH)


def test_without_agents_to_count_there_are_no_chips(operator: Operator) -> None:
    operator.hive.overrides["agents"] = refusing(ErrorCode.INTERNAL, "It broke.")
    assert chips(operator) == {}
