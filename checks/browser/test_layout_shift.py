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


@pytest.mark.parametrize(
    "path",
    [
        "/agents/alice",
        "/approvals/7",
        "/approvals",
        "/messages",
        "/",
        "/charts",
        "/activity",
    ],
)
def test_a_page_on_a_phone_does_not_jump(
    browser: Browser, site: Site, path: str
) -> None:
    context = browser.new_context(viewport={"width": 412, "height": 823})
    try:
        page = context.new_page()
        Dashboard(page, site.url).log_in(site.link())
        page.add_init_script(WATCH)
        page.goto(site.url + path)
        expect(page.get_by_test_id("link")).to_have_attribute("data-state", "live")
        expect(page.get_by_test_id("bell")).to_be_visible()
        page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() =>"
            " requestAnimationFrame(done)))"
        )
        assert page.evaluate("() => window.shifted") < BOUND
    finally:
        context.close()
