"""Nothing moves under the operator's finger while a page loads on a phone."""

from typing import Final

import pytest
from playwright.sync_api import expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard

BOUND: Final = 0.1
WATCH: Final = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries())
    if (!one.hadRecentInput) window.shifted += one.value;
}).observe({ type: "layout-shift", buffered: true });
"""
"""Adds up every shift, which is more than the worst window that the bound is about."""

FRAMES: Final = """() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(done)))"""

PATHS: Final = (
    *("/agents/alice", "/approvals/7", "/approvals"),
    *("/messages", "/", "/charts", "/activity"),
)


@pytest.mark.own_tab
@pytest.mark.parametrize(
    ("path", "width"), [*((path, 390) for path in PATHS), ("/", 360), ("/", 412)]
)
def test_a_page_on_a_phone_does_not_jump(
    site: Site, logged_in: Dashboard, path: str, width: int
) -> None:
    page = logged_in.page
    page.set_viewport_size({"width": width, "height": 823})
    page.add_init_script(WATCH)
    page.goto(site.url + path)
    first = page.locator(".top").bounding_box()
    logged_in.live()
    expect(page.get_by_test_id("bell")).to_be_visible()
    page.evaluate(FRAMES)
    assert page.evaluate("() => window.shifted") < BOUND
    assert page.locator(".top").bounding_box() == first


@pytest.mark.own_tab
def test_a_page_that_jumps_is_noticed(site: Site, logged_in: Dashboard) -> None:
    """Or the test above would prove nothing."""
    page = logged_in.page
    page.add_init_script(WATCH)
    logged_in.overview().live()
    page.evaluate("() => { document.querySelector('main').style.marginTop = '300px' }")
    page.evaluate(FRAMES)
    page.wait_for_function("(bound) => window.shifted > bound", arg=BOUND)
