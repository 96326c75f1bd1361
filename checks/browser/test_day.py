"""An operator's day, with every click and key counted.

The counts stand in the operator guide; what is typed as text is not counted. Each task
begins on the overview, with nothing folded open; some of them on the same one, after
each other.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState
from pyglue.api.control import Blocked, BlockReason
from pyglue.api.overview import Step

ROOT: Final = Path(__file__).resolve().parents[2]
GUIDE: Final = ROOT / "docs" / "operator-guide.md"
TARGETS: Final = {
    "Approve a change": 3,
    "Answer a question with one of its options": 1,
    "Find why an agent is stuck, and resume it": 2,
    "See what an agent is doing": 0,
    "Pause ten agents": 4,
    "See today's cost and the three most expensive agents": 0,
}
"""What a task may take at most; the others have no target."""


@dataclass
class Hand:
    """Clicks and presses keys, and counts both."""

    page: Page
    count: int = field(default=0, init=False)

    def click(self, found: Locator, **options: Any) -> None:
        """Click once."""
        found.click(**options)
        self.count += 1

    def press(self, key: str) -> None:
        """Press a key, or several at once."""
        self.page.keyboard.press(key)
        self.count += 1


def approve(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    row = dashboard.waiting().first
    expect(row).to_contain_text("May use 2 more tools")
    hand.click(row.get_by_role("link", name="Review"))
    hand.click(hand.page.get_by_test_id("accept"))
    hand.click(hand.page.get_by_test_id("approve"))
    expect(hand.page.get_by_test_id("approval-state")).to_have_attribute(
        "data-state", "building"
    )


def answer(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    hand.click(hand.page.get_by_role("button", name="Use the old compiler"))
    expect(dashboard.flash()).to_contain_text("Question 4 answered.")


def resume(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    stuck = hand.page.get_by_test_id("stuck").filter(has_text="bob")
    expect(stuck).to_contain_text("The model provider refuses the API key.")
    hand.click(stuck.get_by_role("button", name="Resume"))
    expect(dashboard.flash()).to_contain_text("bob resumed.")


def doing(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    expect(dashboard.agent("manager")).to_contain_text("runs npm test")


def pause(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    box = dashboard.section("agents").get_by_role("checkbox", name="Select a0")
    expect(box).to_have_count(10)
    hand.click(box.first)
    hand.click(box.last, modifiers=["Shift"])
    hand.click(hand.page.get_by_test_id("bulk").get_by_role("button", name="Pause"))
    expect(dashboard.flash()).to_contain_text("10 paused: a00, a01")


def write(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    hand.click(dashboard.agent("alice").get_by_role("link", name="alice", exact=True))
    hand.click(hand.page.get_by_label("Message or command for alice"))
    hand.page.keyboard.type("Which tests are slow?")
    hand.press("Control+Enter")
    talk = hand.page.get_by_test_id("turn")
    expect(hand.page.get_by_test_id("command-answer")).to_contain_text("Sent as")
    number = site.hive.messages[0].id
    site.hive.emit("message.sent", "alice", id=number, sender="operator")
    expect(talk).to_contain_text("Which tests are slow?")
    number += 1
    said = {"sender": "alice", "recipient": "operator", "sent_at": time.time()}
    site.hive.messages.insert(0, data.message(number, body="Two of them.", **said))
    site.hive.emit("message.sent", "alice", id=number, sender="alice")
    expect(talk).to_contain_text("Two of them.")


def comment(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    hand.click(dashboard.waiting().first.get_by_role("link", name="Review"))
    file = hand.page.locator('[data-path="agent.nix"]')
    for line, text in ((6, "Why sonnet?"), (11, "Only Read.")):
        cell = file.locator("tr[data-item] > .no:nth-child(2)")
        hand.click(cell.get_by_text(str(line), exact=True))
        hand.page.keyboard.type(text)
    hand.click(hand.page.get_by_test_id("request-changes"))
    state = hand.page.get_by_test_id("approval-state")
    expect(state).to_have_attribute("data-state", "changes_requested")
    (sent,) = site.hive.called("request_changes")
    assert [one.text for one in sent.comments] == ["Why sonnet?", "Only Read."]


def go_back(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    hand.click(dashboard.agent("alice").get_by_role("link", name="alice", exact=True))
    hand.click(hand.page.get_by_role("link", name="Compare versions"))
    expect(hand.page.locator('[data-path="agent.nix"]')).to_contain_text("sonnet")
    hand.click(hand.page.get_by_role("button", name="Roll back to approval 3"))
    expect(hand.page).to_have_url(re.compile("/operations/"))


def find(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    hand.click(hand.page.get_by_role("link", name="Messages", exact=True))
    expect(hand.page).to_have_url(f"{site.url}/messages")
    dashboard.live()
    hand.press("/")
    hand.page.keyboard.type("lexer")
    hand.press("Enter")
    found = hand.page.get_by_test_id("message-list").get_by_test_id("message")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("I begin with the lexer")


def cost(site: Site, dashboard: Dashboard, hand: Hand) -> None:
    today = dashboard.section("today")
    expect(today).to_contain_text("Cost today $")
    expect(today.get_by_role("link")).to_have_text(["carol", "manager", "alice"])


TASKS: Final[dict[str, Callable[[Site, Dashboard, Hand], None]]] = {
    "See what an agent is doing": doing,
    "See today's cost and the three most expensive agents": cost,
    "Approve a change": approve,
    "Answer a question with one of its options": answer,
    "Find why an agent is stuck, and resume it": resume,
    "Pause ten agents": pause,
    "Write to an agent, and read its answer in place": write,
    "Comment on two lines of a proposal, and request changes": comment,
    "Compare two versions of an agent, and roll back": go_back,
    "Find a message by a word": find,
}


def documented() -> dict[str, int]:
    """Return the counts that the guide promises."""
    text = GUIDE.read_text().partition("## An operator's day")[2].partition("\n## ")[0]
    return {
        task: int(count)
        for task, count in re.findall(
            r"^\| ([^|]+?) \| ([0-9]+) \|", text, re.MULTILINE
        )
    }


def prepare(site: Site) -> None:
    """Let there be something to do of each kind."""
    hive = site.hive
    step = Step(text="Bash: npm test", since_at=data.NOW - 12, doing="runs `npm test`")
    refused = Blocked(
        reason=BlockReason.NEEDS_LOGIN,
        text="The model provider refuses the API key.",
        remedy="Put a valid API key into the relay's key file.",
    )
    manager, alice, bob, *others = hive.agents
    state = {"state": AgentState.NEEDS_LOGIN, "blocked": refused, "problem": None}
    cheap = [data.agent(f"a0{number}", cost_today_usd=0.01) for number in range(10)]
    hive.agents = [
        msgspec.structs.replace(manager, step=step),
        msgspec.structs.replace(alice, deployed_approval=6),
        msgspec.structs.replace(bob, cost_today_usd=0.2, **state),
        *(msgspec.structs.replace(one, cost_today_usd=0.1) for one in others[1:]),
        others[0],
        *cheap,
    ]
    earlier = data.summary(3, state=ApprovalState.DEPLOYED)
    hive.approvals = {**hive.approvals, 3: data.detail(earlier)}


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(1440, "light"), (800, "dark"), (390, "light")],
)
def test_each_task_takes_so_many_clicks_and_keys(
    site: Site, logged_in: Dashboard, width: int, scheme: Literal["light", "dark"]
) -> None:
    dashboard, page = logged_in, logged_in.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    took: dict[str, int] = {}
    (session,), hand = site.hive.sessions, None
    for task, do in TASKS.items():
        if hand is None or page.url != f"{site.url}/":
            # Else the overview still is as a task may find it: what was done on it
            # before is done, and the next task needs nothing of that.
            page.goto("about:blank")
            site.hive.reset()
            site.hive.sessions.add(session)
            prepare(site)
            dashboard.overview().live()
        hand = Hand(page)
        do(site, dashboard, hand)
        took[task] = hand.count
        assert page.evaluate("document.documentElement.scrollWidth") <= width, task
    assert took == documented()
    assert {one: took[one] for one in TARGETS if took[one] > TARGETS[one]} == {}
