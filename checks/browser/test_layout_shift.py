"""Nothing moves under the operator's finger while a page loads on a phone."""

from typing import Final

import pytest
from playwright.sync_api import Browser, expect

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


PATHS: Final = (
    *("/agents/alice", "/approvals/7", "/approvals"),
    *("/messages", "/", "/charts", "/activity"),
)


@pytest.mark.parametrize(
    ("path", "width"), [*((path, 390) for path in PATHS), ("/", 360), ("/", 412)]
)
def test_a_page_on_a_phone_does_not_jump(
    windows: Browser, site: Site, path: str, width: int
) -> None:
    context = windows.new_context(viewport={"width": width, "height": 823})
    try:
        page = context.new_page()
        Dashboard(page, site.url).log_in(site.link())
        page.add_init_script(WATCH)
        page.goto(site.url + path)
        first = page.locator(".top").bounding_box()
        expect(page.get_by_test_id("link")).to_have_attribute("data-state", "live")
        expect(page.get_by_test_id("bell")).to_be_visible()
        page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() =>"
            " requestAnimationFrame(done)))"
        )
        assert page.evaluate("() => window.shifted") < BOUND
        assert page.locator(".top").bounding_box() == first
    finally:
        context.close()
