"""The frame of every page: Emergency stop in reach, and nothing covered."""

import re
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Locator, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from pyglue.api.approvals import ApprovalState
from pyglue.api.common import AgentState

WIDTHS: Final = (320, 390, 600, 705, 720, 768, 800, 834, 880, 920, 1280, 1440)
HEIGHT: Final = 900


def box(one: Locator) -> dict[str, float]:
    found: Any = one.bounding_box()
    assert found is not None
    return dict(found)


def test_emergency_stop_is_whole_and_in_reach_at_every_width(
    dashboard: Dashboard,
) -> None:
    page = dashboard.page
    stop = page.get_by_test_id("stop")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        stop.locator("summary").click()
        panel = box(stop.locator("form"))
        assert panel["x"] >= 0, width
        assert panel["x"] + panel["width"] <= width, width
        assert panel["y"] >= 0, width
        assert panel["y"] + panel["height"] <= HEIGHT, width
        stop.evaluate("(it) => { it.open = false }")


def test_a_lost_connection_covers_neither_navigation_nor_stop(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    page.set_viewport_size({"width": 800, "height": HEIGHT})
    link = page.get_by_test_id("link")
    site.hive.stop()
    try:
        expect(link).to_have_attribute("data-state", "lost")
        bar = box(link)
        for one in (
            page.get_by_role("link", name="Approvals"),
            page.get_by_text("Emergency stop"),
        ):
            assert box(one)["y"] + box(one)["height"] <= bar["y"]
        expect(page.locator("body")).to_have_attribute("data-link", "lost")
        shown = page.get_by_test_id("needs")
        expect(shown).to_have_css("filter", "grayscale(1)")  # old, and looks so
    finally:
        site.hive.start()
    expect(shown).to_have_css("filter", "none")


def test_a_short_lined_message_is_cut_with_a_sign_and_a_link(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    report = "\n".join(f"{number:02}: test passed" for number in range(22))
    assert len(report) < 400
    site.hive.messages = [data.message(41, body=report), data.message(40, body="Hi")]
    for path in ("/", "/messages", "/agents/alice"):
        page.goto(site.url + path)
        found = page.locator("[data-testid=message][data-id='41']")
        body = found.locator(".body")
        assert body.evaluate("one => one.scrollHeight <= one.clientHeight"), path
        expect(body).to_contain_text("more characters")
        expect(body).not_to_contain_text("21: test passed")
        whole = page.locator("[data-testid=message][data-id='40']")
        expect(whole.get_by_role("link", name="Read the full message")).to_have_count(0)
        expect(whole.get_by_role("link", name="message 40")).to_be_visible()
        found.get_by_role("link", name="Read the full message").click()
        expect(page.get_by_test_id("message-body")).to_contain_text("21: test passed")


def test_facts_of_the_hive_cost_no_line_and_open_whole(dashboard: Dashboard) -> None:
    page = dashboard.page
    about = page.get_by_test_id("about")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        top = box(page.locator("#main"))["y"]
        header = box(page.locator("header.top"))
        assert top == header["y"] + header["height"], width
        about.locator("summary").click()
        expect(about).to_contain_text("scripted model (no cost)")
        panel = box(page.get_by_test_id("facts"))
        assert panel["x"] >= 0, width
        assert panel["x"] + panel["width"] <= width, width
        about.evaluate("(it) => { it.open = false }")


def test_on_a_phone_the_outcome_of_a_decision_is_in_view(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    page.set_viewport_size({"width": 390, "height": 844})
    approval = logged_in.approval(7)
    logged_in.live()
    line = page.get_by_test_id("state-line")
    expect(line).to_contain_text("pending")
    approval.approve()
    expect(line).to_contain_text("deploying")
    page.evaluate("window.scrollTo(0, 0)")
    expect(line).to_be_in_viewport()
    expect(page.get_by_role("navigation", name="View")).to_be_hidden()
    page.set_viewport_size({"width": 1280, "height": 844})
    expect(line).to_be_hidden()
    expect(page.get_by_role("navigation", name="View")).to_be_visible()


def test_on_a_phone_the_header_is_one_row(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.set_viewport_size({"width": 390, "height": 844})
    one = page.get_by_test_id("logout").bounding_box()
    for state in ("off", "on", "muted", "blocked"):
        page.get_by_test_id("bell").locator("#bell-state").evaluate(
            "(it, text) => { it.textContent = text }", state
        )
        assert page.get_by_test_id("logout").bounding_box() == one, state
        assert box(page.locator(".top"))["height"] < 60, state


DENSITY: Final = "localStorage.setItem('hive-density', 'WORD')"
CUT: Final = """(cells) => cells.filter((it) => it.scrollWidth > it.clientWidth + 1
  && getComputedStyle(it).textOverflow !== "ellipsis").map((it) => it.outerHTML)"""


@pytest.mark.own_tab
@pytest.mark.parametrize("density", ["compact", "comfortable"])
def test_columns_stay_where_they_are(
    site: Site, logged_in: Dashboard, density: str
) -> None:
    """Whatever stands in a cell fits, or ends in an ellipsis in a compact row."""
    page, hive = logged_in.page, site.hive
    page.add_init_script(DENSITY.replace("WORD", density))

    def columns() -> Iterator[tuple[int, list[float]]]:
        """Return where they are at each width of the window."""
        for width in (800, 1024, 1280, 1440):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            yield (
                width,
                page.locator("thead th").evaluate_all(
                    "(heads) => heads.map((one) => one.getBoundingClientRect().x)"
                ),
            )

    for path, kind, said in (
        ("/", "agent.state", "m" * 24),
        ("/approvals", "approval.changed", "superseded"),
    ):
        hive.agents = data.agents()
        hive.set_approval(7, state=ApprovalState.PENDING, agent="alice")
        page.goto(site.url + path)
        logged_in.live()
        before = dict(columns())
        hive.agents = [
            data.agent(
                "a",
                state=AgentState.RATE_LIMITED,
                model="m" * 24,
                last_turn_at=time.time() - 55 * 60,
            )
        ]
        hive.set_approval(7, state=ApprovalState.SUPERSEDED, agent="a")
        hive.emit(kind, "alice", state="rate_limited", since_at=0, detail=None)
        expect(page.locator("tbody")).to_contain_text(said)
        for width, found in columns():
            assert found and found == before[width], (width, path)
            wide = "document.documentElement.scrollWidth"
            assert page.evaluate(wide) == width
            cells = page.locator("tbody td, tbody th")
            assert cells.evaluate_all(CUT) == [], (width, path)


def test_on_a_phone_what_is_tapped_is_large_enough(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    page.set_viewport_size({"width": 390, "height": 844})
    small = """(all) => all.filter((one) => one.checkVisibility()
        && !one.closest(".sr, .skip, .xterm, dialog, p:not(.row, .meta, .crumbs)"))
        .map((one) => [one.outerHTML.slice(0, 90), one.getBoundingClientRect()])
        .filter(([, box]) => box.width && Math.min(box.width, box.height) < 24)
        .map(([html, box]) => `${box.width} x ${box.height}: ${html}`)"""
    for path in ("/", "/approvals", "/approvals/7", "/agents/alice", "/messages/31"):
        page.goto(site.url + path)
        logged_in.live()
        tapped = page.locator("a[href], button, summary, select, input, textarea")
        assert tapped.evaluate_all(small) == [], path


def test_on_a_phone_a_reply_has_the_whole_width(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    page.set_viewport_size({"width": 390, "height": 844})
    mail = page.locator("[data-testid=inbox-message][data-id='31']")
    mail.get_by_text("Reply").first.click()
    text = box(mail.get_by_role("textbox"))
    assert text["width"] > box(mail)["width"] - 40


HIDE: Final = """
const get = () => window.unseen === true;
Object.defineProperty(Document.prototype, "hidden", { get });
"""


@pytest.mark.own_tab
def test_title_icon_and_navigation_count_what_needs_the_operator(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    page.add_init_script(HIDE)
    page.goto(f"{site.url}/messages")
    logged_in.live()
    nav = page.get_by_role("navigation", name="Main")
    icon = page.locator("link[rel=icon]")
    expect(page).to_have_title("(5) Messages · hyperhive")
    expect(icon).to_have_attribute("href", "/favicon/5.svg")
    expect(nav.get_by_role("link", name="Overview")).to_have_text("Overview 5 need you")
    expect(nav.get_by_role("link", name="Approvals")).to_have_text(
        "Approvals 1 pending"
    )
    places = [box(one) for one in nav.get_by_role("link").all()]
    page.evaluate("window.unseen = true")  # nobody sees the tab
    site.hive.agents[1] = data.agent("alice", state=AgentState.NEEDS_LOGIN)
    site.hive.emit("agent.state", "alice", state="needs_login")
    expect(page).to_have_title("(6) Messages · hyperhive")
    expect(icon).to_have_attribute("href", "/favicon/6.svg")
    expect(page.locator("#needs-said")).to_have_text("6 things need you")
    assert places == [box(one) for one in nav.get_by_role("link").all()]
    page.goto(f"{site.url}/")
    logged_in.live()
    expect(page).to_have_title("(6) Overview · hyperhive")
    site.hive.agents = [data.agent("alice")]
    site.hive.questions.clear()
    site.hive.inbox.clear()
    site.hive.set_approval(7, state=ApprovalState.DENIED)
    site.hive.emit("agent.changed", "bob", what="destroyed")
    expect(page).to_have_title("Overview · hyperhive")
    expect(icon).to_have_attribute("href", re.compile("/static/.*favicon.svg"))
    expect(nav.locator(".count")).to_have_count(0)


def test_one_event_reads_the_agents_once(site: Site, dashboard: Dashboard) -> None:
    page, hive = dashboard.page, site.hive
    expect(page).to_have_title("(5) Overview · hyperhive")
    read = len(hive.called("agents"))
    hive.agents[1] = data.agent("alice", state=AgentState.NEEDS_LOGIN)
    hive.emit("agent.state", "alice", state="needs_login")
    expect(page).to_have_title("(6) Overview · hyperhive")
    expect(dashboard.agent_state("alice")).to_have_text("needs login")
    expect(dashboard.section("needs")).to_contain_text("needs login")
    assert len(hive.called("agents")) == read + 1


@pytest.mark.own_tab
def test_a_tab_that_is_seen_again_is_up_to_date(
    site: Site, logged_in: Dashboard
) -> None:
    page, hive = logged_in.page, site.hive
    page.add_init_script(HIDE)
    page.goto(f"{site.url}/messages")
    logged_in.live()
    page.evaluate("window.unseen = true")
    hive.agents[1] = data.agent("alice", state=AgentState.NEEDS_LOGIN)
    hive.emit("agent.state", "alice", state="needs_login")
    expect(page).to_have_title("(6) Messages · hyperhive")
    hive.questions.clear()
    hive.emit("question.answered", "alice", id=4)
    page.evaluate(
        "window.unseen = false; document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(page).to_have_title("(5) Messages · hyperhive")


def test_the_icon_with_a_count_is_drawn(dashboard: Dashboard) -> None:
    page = dashboard.page
    drawn = "(at) => { const one = new Image(); one.src = at; return one.decode(); }"
    for number in (1, 9, 10, 5000):
        page.evaluate(drawn, f"/favicon/{number}.svg")


def test_the_count_of_a_page_is_whole_beside_the_page_that_is_open(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    page.goto(f"{site.url}/approvals")
    logged_in.live()
    covered = """(all) => all.filter((one) => one.checkVisibility()).map((one) => {
      const { left, right, top, bottom } = one.getBoundingClientRect();
      const middle = (top + bottom) / 2;
      const at = [left + 2, right - 2].map((x) => document.elementFromPoint(x, middle));
      return at.every((found) => one === found);
    })"""
    for width in (800, 1280, 1440):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        counts = page.locator(".top nav .count")
        found = counts.evaluate_all(covered)
        assert found and all(found), width


def test_approve_looks_ready_only_once_its_box_is_ticked(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    colour = "(it) => getComputedStyle(it).backgroundColor"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        boxes = logged_in.approval(7).boxes()
        button = page.get_by_test_id("approve")
        before = button.evaluate(colour)
        button.click()  # the browser says what is missing
        assert not site.hive.called("approve")
        assert boxes
        for box_ in boxes:
            assert button.evaluate(colour) == before
            box_.check()
        assert button.evaluate(colour) != before


def test_what_is_done_with_an_agent_is_one_row(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    page.goto(f"{site.url}/agents/alice")
    for width, rows in ((1440, 1), (1280, 1), (800, 2)):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        tops = page.locator(".split-row :is(button, .button)").evaluate_all(
            "(all) => all.map((one) => one.getBoundingClientRect().top)"
        )
        assert len(tops) == 9
        assert len(set(tops)) == rows, width


def test_cards_of_what_is_not_running_stand_in_rows(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    site.hive.kept = [data.kept(f"k{number}") for number in range(4)]
    site.hive.drafts = [data.draft(f"d{number}") for number in range(4)]
    page.set_viewport_size({"width": 1440, "height": HEIGHT})
    logged_in.overview().live()
    for name in ("kept-state", "draft"):
        boxes = [box(one) for one in page.get_by_test_id(name).all()]
        assert [one["y"] for one in boxes[::2]] == [one["y"] for one in boxes[1::2]]
        gap = boxes[2]["y"] - boxes[0]["y"] - boxes[0]["height"]
        assert gap == boxes[1]["x"] - boxes[0]["x"] - boxes[0]["width"] == 12


def test_a_terminal_has_an_edge_in_the_dark(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site.url}/agents/alice/terminal")
    terminal = page.get_by_test_id("terminal")
    expect(terminal).to_have_css("border-top-style", "solid")
    expect(terminal).not_to_have_css("border-top-color", "rgb(0, 0, 0)")
    # Both at once: what is above them changes when the shell opens.
    below = page.evaluate("""() => document.getElementById("terminal-after")
      .getBoundingClientRect().top
      - document.getElementById("terminal").getBoundingClientRect().bottom""")
    assert below >= 8
