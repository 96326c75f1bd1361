"""Charts: nothing moves under the pointer, gaps are shown, and the range is a link."""

import re
import time
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from pyglue.api.approvals import ApprovalState
from pyglue.api.metrics import MetricSeries, MetricSeriesParams, MetricSeriesResult

STEP = 300


def serve(site: Site, agents: int, *keys: str, unit: float = 1.0) -> None:
    """Let each agent work, rest for long, and work again."""

    async def stats(params: MetricSeriesParams) -> MetricSeriesResult:
        since = params.since or 0.0
        at = tuple(since + STEP * n for n in (*range(1, 5), *range(20, 24)))
        series = tuple(
            MetricSeries(agent=f"a-{n}", key=key, at=at, values=(unit * (n + 1),) * 8)
            for n in range(agents)
            for key in keys or ("cost_usd",)
        )
        until = params.until or since + 30 * STEP
        return MetricSeriesResult(since=since, until=until, step=STEP, series=series)

    site.hive.overrides["stats"] = stats


def chart(page: Page) -> Any:
    expect(page.get_by_test_id("charts")).to_have_attribute("data-loaded", "24h")
    return page.get_by_test_id("chart").first


def test_values_at_the_pointer_move_nothing(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    serve(site, 3)
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{site.url}/charts")
        first = chart(page)
        before = first.bounding_box()
        plot = first.locator(".u-over")
        plot.hover(position={"x": 30, "y": 60})
        expect(first.locator(".u-legend")).to_contain_text("UTC")
        assert first.bounding_box() == before


def test_the_largest_have_lines_and_the_others_are_one(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    serve(site, 20)
    page.goto(f"{site.url}/charts")
    first = chart(page)
    labels = first.locator(".u-legend .u-label").all_inner_texts()
    assert labels == ["Time", *(f"a-{n}" for n in range(19, 11, -1)), "12 others"]
    total = 8 * sum(range(1, 21))
    expect(first.locator("figcaption")).to_have_text(
        f"Cost by agent per 5 min, ${total}.00 in all"
    )


@pytest.mark.own_tab
@pytest.mark.parametrize(("unit", "digits"), [(0.02, 3), (0.004, 4), (0.5, 2)])
def test_all_money_of_a_chart_has_as_many_digits(
    site: Site, logged_in: Dashboard, unit: float, digits: int
) -> None:
    page = logged_in.page
    page.add_init_script("""
      window.drawn = new Set();
      const draw = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, ...where) {
        window.drawn.add(text);
        draw.call(this, text, ...where);
      };
    """)
    serve(site, 3, unit=unit)
    page.goto(f"{site.url}/charts")
    first = chart(page)
    said = first.inner_text()
    axis = [one for one in page.evaluate("[...drawn]") if one.startswith("$")]
    assert len(axis) >= 3 and len(set(axis)) == len(axis)
    amounts = re.findall(r"\$\d+\.(\d+)", " ".join((said, *axis)))
    assert {len(one) for one in amounts} == {digits}


def test_a_rest_is_a_gap(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    serve(site, 1)
    page.goto(f"{site.url}/charts")
    canvas = chart(page).locator("canvas")
    coloured = """(canvas) => {
        const { width, height } = canvas;
        const all = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const columns = new Set();
        for (let at = 0; at < all.length; at += 4)
          if (all[at + 3] > 200 && all[at + 2] > all[at] + 60)
            columns.add((at / 4) % width);
        return [...columns].sort((a, b) => a - b);
    }"""
    columns = canvas.evaluate(coloured)
    widest = max(b - a for a, b in pairwise(columns))
    assert widest > 0.3 * canvas.evaluate("(it) => it.width")


def test_the_range_is_in_the_address(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    page.goto(f"{site.url}/charts")
    page.get_by_role("button", name="7d").click()
    expect(page).to_have_url(f"{site.url}/charts?range=7d")
    page.reload()
    expect(page.get_by_test_id("charts")).to_have_attribute("data-loaded", "7d")
    pressed = page.locator("[data-range][aria-pressed=true]")
    expect(pressed).to_have_text("7d")


def drag(page: Page, plot: Any, start: float, end: float) -> None:
    """Drag over a chart, from one part of its width to another."""
    box = plot.bounding_box()
    at = [box["x"] + part * box["width"] for part in (start, end)]
    y = box["y"] + box["height"] / 2
    page.mouse.move(at[0], y)
    page.mouse.down()
    page.mouse.move(at[1], y, steps=4)
    page.mouse.up()


def test_a_drag_zooms_and_there_are_ways_back(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    serve(site, 2)
    page.goto(f"{site.url}/charts?range=24h")
    first = chart(page)
    asked = len(site.hive.called("stats"))
    drag(page, first.locator(".u-over"), 0.25, 0.5)
    charts = page.get_by_test_id("charts")
    expect(charts).to_have_attribute("data-loaded", "zoom")
    (zoomed,) = site.hive.called("stats")[asked:]
    assert zoomed.until - zoomed.since == pytest.approx(30 * STEP / 4, rel=0.1)
    expect(page).to_have_url(re.compile(r"range=24h&from=\d+&to=\d+$"))
    expect(page.get_by_test_id("zoomed")).to_contain_text("UTC to 20")
    page.reload()  # it is in the address
    expect(charts).to_have_attribute("data-loaded", "zoom")
    page.get_by_role("button", name="Back to 24h").click()
    expect(charts).to_have_attribute("data-loaded", "24h")
    expect(page.get_by_test_id("zoomed")).to_be_hidden()
    page.go_back()
    expect(charts).to_have_attribute("data-loaded", "zoom")
    page.get_by_role("button", name="24h", exact=True).click()
    expect(charts).to_have_attribute("data-loaded", "24h")


def test_all_charts_have_one_cursor(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    serve(site, 2, "cost_usd", "tokens_out")
    page.goto(f"{site.url}/charts")
    first = chart(page)
    second = page.get_by_test_id("chart").nth(1)
    first.locator(".u-over").hover(position={"x": 60, "y": 60})
    time = second.locator(".u-legend .u-value").first
    expect(time).to_contain_text("UTC")
    expect(first.locator(".u-legend .u-value").first).to_have_text(time.inner_text())
    value = second.locator(".u-legend .u-value").nth(1)
    expect(value).to_have_text("2")  # its own, not the height of the stack


def test_a_chart_can_be_read_by_keys_alone(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    serve(site, 2)
    page.goto(f"{site.url}/charts")
    first = chart(page)
    plot = first.get_by_role("group", name="Cost by agent: arrow keys")
    plot.focus()
    legend = first.locator(".u-legend .u-value")
    page.keyboard.press("ArrowRight")
    expect(legend.nth(1)).to_have_text("$2.00")
    before = legend.first.inner_text()
    page.keyboard.press("ArrowRight")
    expect(legend.first).not_to_have_text(before)
    charts = page.get_by_test_id("charts")
    page.keyboard.press("+")
    expect(charts).to_have_attribute("data-loaded", "zoom")
    first.get_by_role("group", name="Cost by agent: arrow keys").focus()
    page.keyboard.press("Escape")
    expect(charts).to_have_attribute("data-loaded", "24h")
    first.get_by_text("Values as a table").focus()
    page.keyboard.press("Enter")
    rows = first.locator(".chart-data tbody tr")
    expect(rows).to_have_count(8)
    expect(rows.first.locator("td")).to_have_text(["$2.00", "$1.00"])


def test_the_legend_has_sums_shares_and_trends(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    serve(site, 3)
    page.goto(f"{site.url}/charts")
    rows = chart(page).locator(".u-legend .u-series")
    expect(rows.nth(1).locator(".u-total")).to_have_text(["$24.00", "50 %", "="])
    expect(rows.nth(3).locator(".u-total")).to_have_text(["$8.00", "17 %", "="])
    expect(page.get_by_test_id("kpis")).to_contain_text("$48.00")


def test_deployments_are_marked(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    serve(site, 1)
    marks = """() => new Promise((resolve) => {
        const line = CanvasRenderingContext2D.prototype.setLineDash;
        let count = 0;
        const move = CanvasRenderingContext2D.prototype.moveTo;
        CanvasRenderingContext2D.prototype.moveTo = function (...at) {
          if (this.getLineDash().length) count++;
          return move.apply(this, at);
        };
        dispatchEvent(new Event("popstate"));
        const charts = document.getElementById("charts");
        new MutationObserver((_, it) => {
          it.disconnect();
          setTimeout(() => resolve(count), 300);
        }).observe(charts, { childList: true });
    })"""
    page.goto(f"{site.url}/charts")
    chart(page)
    assert page.evaluate(marks) == 0
    summary = data.summary(
        3, state=ApprovalState.DEPLOYED, decided_at=time.time() - 86000
    )
    site.hive.approvals = {3: data.detail(summary)}
    assert page.evaluate(marks) == 1
