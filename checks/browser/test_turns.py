"""The turns on an agent's page: everything once, with recipients."""

from typing import Any

from playwright.sync_api import Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard


def say(site: Site, turn: int, kind: str, **data: Any) -> None:
    site.hive.emit("turn.event", "alice", turn=turn, kind=kind, data=data)


def end(site: Site, turn: int, outcome: str, ms: int, steps: int) -> None:
    fields = {"reason": None, "duration_ms": ms, "steps": steps}
    site.hive.emit("turn.ended", "alice", turn=turn, outcome=outcome, **fields)


def test_a_result_is_said_once_and_only_if_there_is_one(
    site: Site, logged_in: Dashboard
) -> None:
    logged_in.open_agent("alice").live()
    turn = logged_in.page.get_by_test_id("turn")
    site.hive.emit("turn.started", "alice", turn=41, model="haiku")
    say(site, 41, "text", text="All tests pass.")
    say(site, 41, "result", text="All tests pass.")
    end(site, 41, "ok", 8240, 3)
    site.hive.emit("turn.started", "alice", turn=42, model="haiku")
    say(site, 42, "result", text="")
    end(site, 42, "cancelled", 72_400, 1)
    site.hive.emit("turn.started", "alice", turn=43, model="haiku")
    say(site, 43, "result", text="All tests pass.")
    end(site, 43, "ok", 900, 0)
    for reloaded in (False, True):
        if reloaded:
            logged_in.page.reload()
            logged_in.live()
        expect(turn.locator(".turn-end")).to_have_count(3)
        expect(turn.locator(".turn-end").nth(0)).to_contain_text("8.2 s · 3 steps")
        expect(turn.locator(".turn-end").nth(1)).to_contain_text("1 min 12 s · 1 step")
        expect(turn.get_by_text("All tests pass.")).to_have_count(2)
        expect(turn.get_by_text("says", exact=True)).to_have_count(1)
        expect(turn.get_by_text("result", exact=True)).to_have_count(1)


def test_a_turn_says_what_woke_the_agent_and_what_it_used(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.open_agent("alice").live().page
    many: Any = {"messages": (30, 31, 32, 33), "senders": ("manager", "<b>bob</b>")}
    site.hive.emit("turn.started", "alice", turn=41, model="haiku", **many)
    one: Any = {"messages": (34,), "senders": ("manager",)}
    site.hive.emit("turn.started", "alice", turn=42, model="haiku", **one)
    used = {"duration_ms": 8240, "steps": 3, "tokens": 12400, "cost_usd": 0.034}
    site.hive.emit("turn.ended", "alice", turn=42, outcome="ok", reason=None, **used)
    lines = page.get_by_test_id("one-turn").locator("summary")
    expect(lines.nth(0)).to_contain_text(
        "for messages 30, 31, 32 and others from manager, <b>bob</b>"
    )
    expect(lines.nth(1)).to_contain_text(
        "Turn 42 ok · 8.2 s · 3 steps · 12,400 tokens · $0.03 · for message 34 from "
        "manager"
    )
    assert lines.locator("b").count() == 2  # their own
    lines.nth(1).get_by_role("link", name="34").click()
    expect(page).to_have_url(f"{site.url}/messages/34")


def test_a_message_s_first_words_stand_at_its_call(
    site: Site, logged_in: Dashboard
) -> None:
    logged_in.open_agent("alice").live()
    given = {"to": "operator", "body": "Two remarks.\nThe first."}
    say(site, 41, "tool_use", id="1", name="mcp__hive__send", input=given)
    say(site, 41, "tool_use", id="2", name="mcp__tickets__list", input={})
    calls = logged_in.page.get_by_test_id("turn").locator(".fold > summary")
    expect(calls.nth(0)).to_have_text("send operator · Two remarks.")
    expect(calls.nth(1)).to_have_text("mcp__tickets__list ")


def watching(site: Site, page: Page, count: int) -> None:
    """Wait until so many pages follow what alice's model writes."""
    for _ in range(600):
        if len(site.hive.watchers) == count:
            return
        site.hive.writes("alice", 1, "")  # a sign of life, as hived gives
        page.wait_for_timeout(100)
    raise AssertionError(f"{len(site.hive.watchers)} watch, not {count}")


def test_what_the_model_writes_is_shown_as_it_comes(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.open_agent("alice").live().page
    turn = page.get_by_test_id("turn")
    writing = turn.get_by_test_id("writing")
    watching(site, page, 0)
    site.hive.emit("turn.started", "alice", turn=51, model="haiku")
    watching(site, page, 1)
    site.hive.writes("alice", 51, "First I look.", "thinking")
    expect(writing).to_have_text("thinking First I look.")
    hostile = "All <img src=x onerror=alert(1)> of \u202ethe"
    site.hive.writes("alice", 51, hostile)
    shown = "says All <img src=x onerror=alert(1)> of \u2039U+202E\u203athe"
    expect(writing).to_have_text(shown)
    writing.locator(".body").select_text()
    site.hive.writes("alice", 51, f"{hostile} tests")
    expect(writing).to_contain_text("tests")
    assert "All <img" in page.evaluate("String(getSelection())")
    site.hive.writes("alice", 50, "of another turn")
    say(site, 51, "text", text="All of the tests pass.")
    expect(turn).to_contain_text("All of the tests pass.")
    expect(writing).to_have_count(0)
    site.hive.writes("alice", 51, "All of the")  # late: it is said already
    site.hive.writes("alice", 51, "Next")
    expect(writing).to_have_text("says Next")
    end(site, 51, "ok", 900, 1)
    expect(writing).to_have_count(0)
    watching(site, page, 0)


def test_nobody_watches_from_a_page_that_is_not_seen(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.open_agent("alice").live().page
    site.hive.emit("turn.started", "alice", turn=52, model="haiku")
    watching(site, page, 1)
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    change = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(f"{hide % 'true'}; {change}")
    watching(site, page, 0)
    page.evaluate(f"{hide % 'false'}; {change}")
    watching(site, page, 1)
