"""Comments on lines of a proposal: written at the lines, kept, sent, shown again."""

import json
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.kit import WIDTHS, resized
from checks.browser.pages import Dashboard
from checks.kits.web.app import refusing
from checks.kits.web.hostile import NASTY
from pyglue.api.approvals import ChangesRequested, DiffBase, QuotedComment
from pyglue.api.operator import REQUEST_CHANGES
from pyglue.errors import ErrorCode


def number(page: Page, line: int, *, column: int = 2) -> Locator:
    """Return the number of a line of agent.nix, new (2) or old (1)."""
    file = page.locator('[data-path="agent.nix"]')
    cell = file.locator(f"tr[data-item] > .no:nth-child({column})")
    return cell.get_by_text(str(line), exact=True)


def drafts(page: Page) -> Locator:
    return page.get_by_test_id("draft")


def review(dashboard: Dashboard, query: str = "") -> Page:
    page = dashboard.approval(7, query).page
    dashboard.live()
    return page


def sent(site: Site) -> list[tuple[Any, ...]]:
    (params,) = site.hive.called("request_changes")
    return [(c.file, c.line, c.to, c.base, c.text) for c in params.comments]


def test_two_comments_and_a_text_are_one_request(
    site: Site, logged_in: Dashboard
) -> None:
    page = review(logged_in)
    send = page.get_by_test_id("request-changes")
    for width in resized(page):
        for left in (1, 0) if width != WIDTHS[0] else ():
            drafts(page).first.get_by_role("button", name="Discard").click()
            expect(drafts(page)).to_have_count(left)
        number(page, 6).click()
        page.keyboard.type("Why sonnet?")
        page.keyboard.press("Control+Enter")
        number(page, 11).click()
        number(page, 14).click(modifiers=["Shift"])
        page.keyboard.type("Only Read.")
        expect(drafts(page)).to_have_count(2)
        listed = page.get_by_test_id("drafted").get_by_role("listitem")
        expect(listed).to_have_text(
            ["agent.nix, line 6 Why sonnet?", "agent.nix, lines 11 to 14 Only Read."]
        )
        page.get_by_label("What to change").fill("Nearly.")
        send.click(trial=True)
    send.click()
    state = page.get_by_test_id("approval-state")
    expect(state).to_have_attribute("data-state", "changes_requested")
    assert sent(site) == [
        ("agent.nix", 6, 6, None, "Why sonnet?"),
        ("agent.nix", 11, 14, None, "Only Read."),
    ]
    expect(drafts(page)).to_have_count(2)  # as they were sent
    expect(drafts(page).get_by_role("button")).to_have_count(0)
    page.reload()
    for _ in resized(page):
        expect(drafts(page)).to_have_count(0)
        expect(page.get_by_test_id("beside")).to_have_count(2)
        expect(page.get_by_test_id("note")).to_have_count(2)


def test_keys_alone_write_a_comment(site: Site, logged_in: Dashboard) -> None:
    page = review(logged_in)
    page.keyboard.press("n")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("c")
    page.keyboard.type("cjk")  # typed, not obeyed
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Shift+C")
    page.keyboard.type("Both")
    page.keyboard.press("Control+Enter")
    page.get_by_test_id("request-changes").press("Enter")
    page.locator('[data-state="changes_requested"]').first.wait_for()
    assert sent(site) == [
        ("agent.nix", 4, 4, None, "cjk"),
        ("agent.nix", 4, 5, None, "Both"),
    ]


@pytest.mark.parametrize("view", ["unified", "split"])
def test_a_removed_line_is_that_of_what_is_compared(
    site: Site, logged_in: Dashboard, view: str
) -> None:
    page = review(logged_in, f"?view={view}")
    removed = page.locator('[data-path="agent.nix"] tr:has(.code.del) > .no').first
    removed.click()
    page.keyboard.type("Keep this.")
    page.get_by_test_id("request-changes").click()
    page.locator('[data-state="changes_requested"]').first.wait_for()
    assert sent(site) == [("agent.nix", 6, 6, DiffBase.RUNNING, "Keep this.")]


def test_a_draft_stays_until_it_is_sent_or_discarded(logged_in: Dashboard) -> None:
    page = review(logged_in)
    number(page, 6).click()
    page.keyboard.type("Half a sen")
    page.reload()
    logged_in.live()
    expect(drafts(page)).to_contain_text("Half a sen")
    drafts(page).get_by_role("button", name="Edit").click()
    page.keyboard.press("End")
    page.keyboard.type("tence")
    page.keyboard.press("Escape")
    page = review(logged_in, "?view=split")
    expect(drafts(page)).to_contain_text("Half a sentence")
    drafts(page).get_by_role("button", name="Discard").click()
    expect(drafts(page)).to_have_count(0)
    expect(page.get_by_test_id("drafted")).to_be_hidden()
    page.reload()
    expect(drafts(page)).to_have_count(0)


def test_an_empty_comment_is_none(site: Site, logged_in: Dashboard) -> None:
    page = review(logged_in)
    number(page, 6).click()
    number(page, 7).click()
    expect(drafts(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(drafts(page)).to_have_count(0)
    expect(page.locator("tr:focus")).to_contain_text("prompt")


def test_an_event_takes_no_comment_away(site: Site, logged_in: Dashboard) -> None:
    page = review(logged_in)
    number(page, 6).click()
    page.keyboard.type("Why ")
    seq = site.hive.emit("approval.changed", "alice", approval=7, state="pending")
    expect(page.locator("body")).to_have_attribute("data-seen", str(seq))
    page.keyboard.type("sonnet?")
    listed = page.get_by_test_id("drafted")
    expect(listed).to_contain_text("Why sonnet?")
    page.get_by_test_id("request-changes").click()
    page.locator('[data-state="changes_requested"]').first.wait_for()
    assert sent(site) == [("agent.nix", 6, 6, None, "Why sonnet?")]


def test_nothing_requested_is_said_at_the_form(
    site: Site, logged_in: Dashboard
) -> None:
    said = refusing(ErrorCode.BAD_REQUEST, "Nothing was requested: write a text.")
    site.hive.overrides[REQUEST_CHANGES.name] = said
    page = review(logged_in)
    page.get_by_test_id("request-changes").click()
    form = page.get_by_test_id("changes-form")
    expect(form.get_by_role("alert")).to_contain_text("Nothing was requested")


def test_a_log_out_forgets_the_drafts(logged_in: Dashboard) -> None:
    page = review(logged_in)
    number(page, 6).click()
    page.keyboard.type("Secret")
    assert page.evaluate("localStorage.getItem('hive-comments')")
    page.goto(f"{logged_in.url}/messages")
    page.get_by_test_id("logout").click()
    page.wait_for_url("**/login*")
    assert page.evaluate("localStorage.getItem('hive-comments')") is None


def test_what_was_stored_by_others_does_no_harm(logged_in: Dashboard) -> None:
    page = review(logged_in)
    bad = [{"file": "agent.nix", "line": "x", "to": 1, "text": NASTY}, None, 7]
    for stored in ("no JSON", "7", json.dumps([["/approvals/7", bad]])):
        page.evaluate("text => localStorage.setItem('hive-comments', text)", stored)
        page.reload()
        expect(page.locator("#how-to-comment")).to_be_visible()
        expect(drafts(page)).to_have_count(0)


def test_hostile_lines_and_comments_stay_text(site: Site, logged_in: Dashboard) -> None:
    comment = QuotedComment(
        file=NASTY, line=1, to=1, base=None, text=NASTY, quoted=(NASTY,)
    )
    there = msgspec.structs.replace(comment, file="agent.nix", line_now=6)
    site.hive.approvals[7] = msgspec.structs.replace(
        site.hive.approvals[7],
        comments=(comment, there),
        asked=ChangesRequested(approval=5, text=NASTY, comments=(comment, there)),
    )
    page = review(logged_in)
    number(page, 6).click()
    page.keyboard.insert_text("<script>alert(1)</script>\u202e")
    page.keyboard.press("Escape")
    expect(drafts(page)).to_contain_text("<script>alert(1)</script>\u2039U+202E\u203a")
    expect(page.get_by_test_id("asked")).to_contain_text("<script>alert(1)</script>")
    expect(page.get_by_test_id("beside").first).to_contain_text("<nasty>")
    assert page.locator("main script, main img, main nasty").count() == 0
    assert "\u202e" not in page.locator("main").inner_text()


def test_without_scripts_a_form_takes_file_line_and_text(
    site: Site, plain_dashboard: Dashboard
) -> None:
    page = plain_dashboard.approval(7).page
    send = page.get_by_test_id("request-changes")
    by_line = page.get_by_test_id("by-line").locator("summary")
    for width in resized(page):
        expect(page.locator("#how-to-comment")).to_be_hidden()
        if width != WIDTHS[0]:
            by_line.click()  # closes it
        by_line.click()
        form = page.get_by_role("group", name="Comment 1")
        form.get_by_label("File").select_option("agent.nix")
        form.get_by_label("Line, lines as 3-5").fill("6-7")
        form.get_by_label("Comment").fill("Why?")
        send.click(trial=True)
    send.click()
    expect(page.get_by_test_id("flash")).to_contain_text("Changes requested")
    assert sent(site) == [("agent.nix", 6, 7, None, "Why?")]
    for _ in resized(page):
        expect(page.get_by_test_id("beside")).to_have_count(1)
