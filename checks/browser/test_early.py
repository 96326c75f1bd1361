"""Input before the page's modules have loaded is not lost.

The modules are held back on their way until it is done, as on a slow line.
"""

import contextlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard

pytestmark = pytest.mark.own_tab  # it holds back what a page asks for


@contextlib.contextmanager
def before_modules(page: Page, url: str, *, late: str = "live.js") -> Iterator[None]:
    """Open a page whose module ``late`` arrives only after the block."""
    held: list[Route] = []
    address = re.compile(f"/static/(.*/)?{re.escape(late)}")
    page.route(address, lambda route: held.append(route))
    page.goto(url, wait_until="commit")
    expect(page.locator("#keys")).to_be_attached()  # the last of the page
    yield
    assert held
    page.unroute_all()  # lets it go on


def test_ctrl_enter_sends_once(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    with before_modules(page, f"{site.url}/agents/alice"):
        page.get_by_label("Message or command for alice").click()
        page.keyboard.type("Which tests are slow?")
        page.keyboard.press("Control+Enter")
        page.keyboard.press("Control+Enter")
    expect(page.get_by_test_id("command-answer")).to_contain_text("Sent as")
    logged_in.live()
    assert [one.body for one in site.hive.called("send")] == ["Which tests are slow?"]


def test_a_shortcut_and_the_text_after_it(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    with before_modules(page, f"{site.url}/messages"):
        page.keyboard.press("/")
        page.keyboard.type("lexer")  # x and g would be shortcuts
        page.keyboard.press("Enter")
    found = page.get_by_test_id("message-list").get_by_test_id("message")
    expect(found).to_have_count(1)
    expect(page).to_have_url(re.compile("text=lexer"))


def test_the_palette_takes_what_is_typed_after_its_key(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    with before_modules(page, site.url):
        page.keyboard.press("Control+k")
        page.keyboard.type("approval 7")
        page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/approvals/7")


def test_clicks_and_ticks(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    boxes = logged_in.section("agents").get_by_role("checkbox", name="Select")
    with before_modules(page, site.url):
        count = boxes.count()  # the modules show one more, for all agents
        boxes.first.click()
        boxes.last.click(modifiers=["Shift"])
        page.get_by_test_id("about").locator("summary").click()
        page.get_by_label("Dark").click()
    assert count > 2
    expect(page.locator("#bulk-count")).to_contain_text(f"{count} selected")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_test_id("about")).to_have_attribute("open", "")


def test_a_search_as_one_types(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    with before_modules(page, site.url):
        page.get_by_label("Search", exact=True).click()
        page.keyboard.type("alice")
    expect(page).to_have_url(f"{site.url}/?q=alice")
    expect(logged_in.agent("bob")).to_have_count(0)


def test_a_comment_on_a_line(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    with before_modules(page, f"{site.url}/approvals/7", late="comments.js"):
        number = page.locator('[data-path="agent.nix"] .diff .no:nth-child(2)')
        number.get_by_text("6", exact=True).click()
        page.keyboard.type("Why sonnet?")
    draft = page.get_by_test_id("draft").get_by_role("textbox")
    expect(draft).to_have_value("Why sonnet?")
    expect(page.locator("#viewed")).to_contain_text("0 of")  # v only typed


def test_buttons_post_by_themselves(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    with before_modules(page, site.url):
        page.get_by_role("button", name="Use the old compiler").click()
        page.wait_for_url(f"{site.url}/**", wait_until="commit")
        expect(page.locator("main > .flash")).to_contain_text("Question 4 answered.")
    assert len(site.hive.called("answer")) == 1
