"""The tab that tests share: the next one finds it as new."""

import pytest
from playwright.sync_api import Page

from checks.browser.conftest import Profile, Site

STORED = "[sessionStorage.length, localStorage.length, document.cookie]"
DARK = "matchMedia('(prefers-color-scheme: dark)').matches"


def test_the_next_test_finds_it_as_new(site: Site, profile: Profile) -> None:
    page = profile.tab().page
    page.goto(f"{site.url}/login")
    page.evaluate("sessionStorage.one = localStorage.two = 'kept'")
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(DARK)
    profile.empty()
    assert profile.tab().page is page
    page.goto(f"{site.url}/login")
    assert page.evaluate(STORED) == [0, 0, ""]
    assert page.viewport_size == {"width": 1280, "height": 720}
    assert not page.evaluate(DARK)
    profile.empty()


def test_one_that_was_closed_is_replaced(profile: Profile) -> None:
    closed = profile.tab().page
    closed.close()
    profile.empty()
    assert profile.tab().page is not closed


def test_what_would_stay_in_it_is_refused(page: Page) -> None:
    for change in (
        lambda: page.on("request", print),
        lambda: page.add_init_script("1"),
        lambda: page.route("**", print),
        lambda: page.clock,
    ):
        with pytest.raises(AssertionError, match="own_tab"):
            change()


@pytest.mark.own_tab
def test_a_tab_of_ones_own_may_be_changed(page: Page, profile: Profile) -> None:
    page.add_init_script("window.changed = true")
    page.goto("data:text/html,")
    assert page.evaluate("changed")
    assert profile.tab().page is not page
