"""Notifications, with the permission granted and the browser's own Notification."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from checks.browser.conftest import Profile, Site
from checks.browser.pages import Dashboard
from checks.kits.patience import PATIENCE_S
from checks.kits.web import data as data

# Keeps what was shown, and still shows it.
_RECORD = """
window.shown = [];
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    window.shown.push({ title, body: options.body, notification: this });
    const root = document.documentElement;
    root.dataset.shown = window.shown.length;
    this.addEventListener("show", () => {
      root.dataset.onscreen = Number(root.dataset.onscreen ?? 0) + 1;
    });
  }
};
"""


@pytest.fixture
def context(windowed: Profile) -> Iterator[BrowserContext]:
    yield windowed.context
    windowed.empty()


@pytest.fixture
def granted(context: BrowserContext, site: Site) -> BrowserContext:
    context.grant_permissions(["notifications"], origin=site.url)
    return context


def _open(context: BrowserContext, site: Site, script: str = _RECORD) -> Dashboard:
    page = context.new_page()
    page.add_init_script(script)
    dashboard = Dashboard(page, site.url).with_session(site.hive.new_session())
    return dashboard.overview().live()


def _titles(page: Page) -> list[str]:
    return page.evaluate("window.shown.map((one) => one.title)")


def _settle(site: Site, page: Page) -> None:
    """Wait until everything emitted before has gone through the page."""
    seq = site.hive.emit("agent.changed", "alice", what="problem")
    expect(page.locator("body")).to_have_attribute("data-seen", str(seq))


def test_each_item_is_told_once_with_a_link(
    site: Site, granted: BrowserContext
) -> None:
    dashboard = _open(granted, site)
    page = dashboard.page
    assert _titles(page) == []  # nothing at page load
    body = f"The review \u202e is done. {'x' * 200}"
    site.hive.messages = [data.message(31, sender="carol", body=body)]
    site.hive.emit("approval.created", "alice", approval=7)
    site.hive.emit("question.asked", "bob", question=4, to="operator")
    site.hive.emit("question.asked", "bob", question=5, to="alice")
    site.hive.emit(
        "message.sent", "operator", id=31, sender="carol", recipient="operator"
    )
    site.hive.emit("message.sent", "bob", id=32, sender="carol", recipient="bob")
    expect(page.locator("html")).to_have_attribute("data-shown", "3")
    _settle(site, page)
    assert _titles(page) == [
        "alice needs your approval",
        "bob has a question for you",
        "carol sent you a message",
    ]
    bodies = page.evaluate("window.shown.map((one) => one.body)")
    assert bodies[0].startswith("alice needs to read the history")
    assert bodies[1].startswith("The build needs a newer compiler")
    assert len(bodies[2]) == 121 and "\u202e" not in bodies[2]
    assert bodies[2].startswith("The review \u2039U+202E\u203a is done.")
    expect(page.locator("html")).to_have_attribute("data-onscreen", "3")
    page.evaluate("window.shown[0].notification.onclick()")
    page.wait_for_url(f"{site.url}/approvals/7")


def test_two_tabs_tell_once(site: Site, granted: BrowserContext) -> None:
    pages = [_open(granted, site).page for _ in range(2)]
    site.hive.emit("approval.created", "alice", approval=7)
    deadline = time.monotonic() + PATIENCE_S
    while not any(_titles(page) for page in pages):
        assert time.monotonic() < deadline
        pages[0].wait_for_timeout(20)
    for page in pages:
        _settle(site, page)
    assert sum(len(_titles(page)) for page in pages) == 1


def test_mute_is_kept(site: Site, granted: BrowserContext) -> None:
    dashboard = _open(granted, site)
    page = dashboard.page
    bell = page.get_by_test_id("bell")
    expect(bell).to_have_attribute("data-state", "on")
    bell.click()
    expect(bell).to_have_attribute("data-state", "muted")
    page.reload()
    expect(bell).to_have_attribute("data-state", "muted")
    dashboard.live()
    site.hive.emit("approval.created", "alice", approval=7)
    _settle(site, page)
    assert _titles(page) == []
    bell.click()
    site.hive.emit("approval.created", "alice", approval=8)
    expect(page.locator("html")).to_have_attribute("data-shown", "1")


def test_it_asks_only_when_told_to(site: Site, context: BrowserContext) -> None:
    asking = (
        "Notification.requestPermission = async () => {"
        "  document.documentElement.dataset.asked = 'yes'; return 'default'; }"
    )
    page = _open(context, site, asking).page
    bell = page.get_by_test_id("bell")
    expect(bell).to_have_attribute("data-state", "off")
    expect(page.locator("html")).not_to_have_attribute("data-asked", "yes")
    bell.click()
    expect(page.locator("html")).to_have_attribute("data-asked", "yes")


def test_it_says_why_where_the_context_is_not_secure(
    site: Site, context: BrowserContext
) -> None:
    page = _open(
        context,
        site,
        "Object.defineProperty(window, 'isSecureContext', { get: () => false })",
    ).page
    page.get_by_test_id("bell").click()
    expect(page.get_by_test_id("bell-why")).to_contain_text("https")
