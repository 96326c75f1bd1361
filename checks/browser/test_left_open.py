"""A page left open: typed text and position survive updates."""

import json

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from pyglue.text.display import HIDDEN_IN_TEXT as HIDDEN
from pyglue.text.display import named


def _settle(site: Site, page: Page) -> None:
    seq = site.hive.emit("agent.changed", "alice", what="state")
    expect(page.locator("body")).to_have_attribute("data-seen", str(seq))


def test_the_focus_stays_where_it_was(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    for name in ("alice", "bob"):
        button = dashboard.agent(name).get_by_role("button", name=f"Stop {name}")
        button.focus()
        page.evaluate("document.activeElement.dataset.old = 'yes'")
        _settle(site, page)
        expect(page.locator("[data-old]")).to_have_count(0)  # the list is another one
        expect(button).to_be_focused()


def test_a_session_that_ends_shows_the_login(site: Site, dashboard: Dashboard) -> None:
    _end(site)
    expect(dashboard.page.get_by_test_id("login")).to_be_visible()


def test_what_was_typed_outlives_the_session(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    field = dashboard.section("send").get_by_label("Message")
    field.fill("A long letter.")
    _end(site)
    link = page.get_by_test_id("link")
    expect(link).to_contain_text("Your session has ended")
    expect(field).to_have_value("A long letter.")


def _end(site: Site) -> None:
    site.hive.sessions.clear()
    site.hive.drop_connections()


@pytest.mark.own_tab
def test_a_connection_that_says_nothing_is_made_anew(site: Site, page: Page) -> None:
    opened: list[WebSocketRoute] = []  # each answers, and then is silent
    page.route_web_socket("**/live?*", lambda one: opened.append(one))
    page.clock.install()
    Dashboard(page, site.url).log_in(site.link()).live()
    assert len(opened) == 1
    page.clock.fast_forward(70_000)
    page.clock.run_for(10_000)
    page.evaluate("fetch('/static/hive.css').then(() => null)")  # the route was called
    assert len(opened) > 1


def test_scripts_name_every_character_that_pages_name(dashboard: Dashboard) -> None:
    """A newer Unicode in the browser may hide more, never less."""
    codes = (code for code in range(0xF0000) if not 0xD800 <= code < 0xE000)
    hidden = HIDDEN.findall("".join(map(chr, codes)))
    wrong = dashboard.page.evaluate(
        """async (all) => {
          const { visible } = await import("/static/text.js");
          const differs = ([at, said]) => visible(String.fromCodePoint(at)) !== said;
          return JSON.parse(all).filter(differs);
        }""",
        json.dumps([[ord(one), named(one)] for one in hidden]),
    )
    assert wrong == []
    assert dashboard.page.evaluate(
        "async () => (await import('/static/text.js')).visible('a b\\n\\tc \u05d0')"
    ) == ("a b\n\tc \u05d0")
