"""An agent's page as a conversation: messages and turns in order, sent and answered."""

import time
from typing import Any

from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.kit import resized
from checks.browser.pages import Dashboard
from checks.kits.web import data
from checks.kits.web.hostile import NASTY
from pyglue.api.messages import Message, Progress, ShownMessage, Stage


def say(site: Site, sender: str, body: str, **fields: Any) -> int:
    """Let operator or alice have written; return the number of the message."""
    number = site.hive.messages[0].id + 1
    recipient = "alice" if sender == "operator" else "operator"
    at = fields.pop("sent_at", time.time())
    plain = data.message(
        number, sender=sender, recipient=recipient, body=body, sent_at=at
    )
    values = {name: getattr(plain, name) for name in Message.__struct_fields__}
    site.hive.messages.insert(0, ShownMessage(**{**values, **fields}))
    site.hive.emit("message.sent", "alice", id=number, sender=sender)
    return number


def turn(site: Site, number: int, *, ends: bool = True) -> None:
    site.hive.emit("turn.started", "alice", turn=number, model="haiku")
    said = {"text": f"In turn {number}."}
    site.hive.emit("turn.event", "alice", turn=number, kind="text", data=said)
    if ends:
        end(site, number)


def end(site: Site, number: int) -> None:
    fields = {"outcome": "ok", "reason": None, "duration_ms": 8240, "steps": 3}
    site.hive.emit("turn.ended", "alice", turn=number, cost_usd=0.034, **fields)


def items(page: Page) -> Locator:
    return page.get_by_test_id("turn").locator(":scope > li")


def open_alice(dashboard: Dashboard) -> Page:
    return dashboard.open_agent("alice").live().page


def test_messages_and_turns_are_in_order(site: Site, logged_in: Dashboard) -> None:
    page = open_alice(logged_in)
    say(site, "operator", "What is **new**?")
    turn(site, 41)
    say(site, "alice", "Nothing.")
    turn(site, 42, ends=False)
    for reloaded in (False, True):
        if reloaded:
            page.reload()
            logged_in.live()
        for _ in resized(page):
            expect(items(page)).to_have_count(4)
            expect(items(page).nth(0)).to_contain_text("What is new?")
            expect(items(page).nth(1)).to_contain_text(
                "Turn 41 ok · 8.2 s · 3 steps · $0.03"
            )
            expect(items(page).nth(2)).to_contain_text("Nothing.")
            expect(items(page).nth(3)).to_contain_text("Turn 42 on haiku")
            expect(page.get_by_text("In turn 41.")).to_be_hidden()
            expect(page.get_by_text("In turn 42.")).to_be_visible()
    end(site, 42)
    for _ in resized(page):
        expect(page.get_by_text("In turn 42.")).to_be_hidden()
        items(page).nth(1).locator("summary").first.click()
        expect(page.get_by_text("In turn 41.")).to_be_visible()
        items(page).nth(1).locator("summary").first.click()
        expect(page.get_by_text("In turn 41.")).to_be_hidden()


def test_a_turn_that_is_read_stays_open(site: Site, logged_in: Dashboard) -> None:
    page = open_alice(logged_in)
    turn(site, 41, ends=False)
    line = items(page).first.locator("summary").first
    line.click()
    line.click()  # closed and opened again: it is the reader's now
    end(site, 41)
    expect(line).to_contain_text("Turn 41 ok")
    expect(page.get_by_text("In turn 41.")).to_be_visible()


def test_what_is_sent_is_delivered_and_answered_in_place(
    site: Site, logged_in: Dashboard
) -> None:
    page = open_alice(logged_in)
    page.evaluate("window.sameDocument = true")
    box = page.get_by_label("Message or command for alice")
    box.fill("Which tests are slow?")
    box.press("Enter")  # a line of the message
    box.press_sequentially("Name three.")
    box.press("Control+Enter")
    expect(page.get_by_test_id("command-answer")).to_contain_text("Sent as message")
    expect(box).to_have_value("")
    sent = site.hive.messages[0]
    assert sent.body == "Which tests are slow?\nName three."
    values = {name: getattr(sent, name) for name in Message.__struct_fields__}
    said = page.locator(f'[data-testid=said][data-id="{sent.id}"]')
    for progress, words in (
        (Progress(stage=Stage.QUEUED), "Queued"),
        (Progress(stage=Stage.DELIVERED, turn=41), "Delivered in turn 41"),
        (
            Progress(stage=Stage.DONE, turn=41, answer=sent.id + 1),
            f"answered by message {sent.id + 1}",
        ),
    ):
        site.hive.messages[0] = ShownMessage(**values, progress=progress)
        site.hive.emit("message.sent", "alice", id=sent.id, sender="operator")
        expect(said).to_contain_text(words)
        expect(said).to_have_count(1)
    say(site, "alice", "The three of the browser.")
    expect(items(page).last).to_contain_text("The three of the browser.")
    assert page.evaluate("window.sameDocument")


def test_a_message_that_did_not_change_keeps_its_selection(
    site: Site, logged_in: Dashboard
) -> None:
    page = open_alice(logged_in)
    say(site, "operator", "Selected words")
    text = items(page).first.get_by_text("Selected words")
    text.evaluate("it => getSelection().selectAllChildren(it)")
    say(site, "alice", "More")
    expect(items(page)).to_have_count(2)
    assert page.evaluate("String(getSelection())") == "Selected words"


def test_a_slash_offers_commands(site: Site, logged_in: Dashboard) -> None:
    page = open_alice(logged_in)
    box = page.get_by_label("Message or command for alice")
    offered = page.locator("#completions")
    box.press_sequentially("/co")
    expect(offered.get_by_role("button")).to_have_text(["/compact"])
    box.press("Tab")
    expect(box).to_have_value("/compact")
    expect(offered).to_be_hidden()
    box.press("Enter")
    expect(page.get_by_test_id("command-answer")).to_contain_text("Compacting")
    assert len(site.hive.called("compact")) == 1
    assert site.hive.called("send") == []


def test_high_priority_goes_with_the_message(site: Site, logged_in: Dashboard) -> None:
    page = open_alice(logged_in)
    page.get_by_label("Message or command for alice").fill("Stop that.")
    page.get_by_label("High priority").check()
    page.get_by_test_id("command").get_by_role("button", name="Send").click()
    expect(page.get_by_test_id("command-answer")).to_contain_text("Sent as message")
    assert [one.priority for one in site.hive.called("send")] == ["high"]
    expect(page.get_by_label("High priority")).not_to_be_checked()


def test_hostile_messages_and_turns_stay_text(site: Site, logged_in: Dashboard) -> None:
    page = open_alice(logged_in)
    say(site, "alice", NASTY)
    fields = {"outcome": NASTY, "reason": NASTY, "duration_ms": 1, "steps": 1}
    site.hive.emit("turn.started", "alice", turn=41, model=NASTY)
    site.hive.emit("turn.ended", "alice", turn=41, **fields)
    turn(site, 42)
    expect(items(page).last).to_contain_text("Turn 42 ok")
    expect(items(page).first).to_contain_text("<nasty>")
    assert page.locator("main script, main img, main nasty").count() == 0
    assert "\u202e" not in page.locator("main").inner_text()


def test_without_scripts_messages_are_read_and_sent(
    site: Site, plain_dashboard: Dashboard
) -> None:
    say(site, "alice", "Shall I go on?")
    page = plain_dashboard.open_agent("alice").page
    for width in resized(page):
        expect(page.get_by_test_id("said").first).to_contain_text("Shall I go on?")
        box = page.get_by_label("Message or command for alice")
        box.fill(f"Yes, {width} times.")
        page.get_by_test_id("command").get_by_role("button", name="Send").click()
        expect(page.get_by_test_id("said").last).to_contain_text(f"Yes, {width} times.")
        expect(page.get_by_test_id("flash")).to_contain_text("Sent as message")
