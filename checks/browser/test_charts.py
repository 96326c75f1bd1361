"""Charts: nothing moves under the pointer, a gap is one, and the range is a link."""

from itertools import pairwise
from typing import Any

from playwright.sync_api import Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from pyglue.api.telemetry import StatSeries, StatsParams, StatsResult

STEP = 300


def serve(site: Site, agents: int) -> None:
    """Let each agent work, rest for long, and work again."""

    async def stats(params: StatsParams) -> StatsResult:
        since = params.since or 0.0
        at = tuple(since + STEP * n for n in (*range(1, 5), *range(20, 24)))
        series = tuple(
            StatSeries(
                agent=f"a-{n}", key="cost_usd", at=at, values=(float(n + 1),) * 8
            )
            for n in range(agents)
        )
        until = since + 30 * STEP
        return StatsResult(since=since, until=until, step=STEP, series=series)

    site.hive.overrides["stats"] = stats


def chart(page: Page) -> Any:
    expect(page.get_by_test_id("charts")).to_have_attribute("data-loaded", "24h")
    return page.get_by_test_id("chart").first


def test_values_at_the_pointer_move_nothing(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
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
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    serve(site, 20)
    page.goto(f"{site.url}/charts")
    first = chart(page)
    labels = first.locator(".u-legend .u-label").all_inner_texts()
    assert labels == ["Time", *(f"a-{n}" for n in range(19, 11, -1)), "12 others"]
    total = 8 * sum(range(1, 21))
    expect(first.locator("figcaption")).to_have_text(
        f"Cost by agent per 5 min, ${total}.00 in all"
    )


def test_a_rest_is_a_gap(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
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


def test_the_range_is_in_the_address(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    page.goto(f"{site.url}/charts")
    page.get_by_role("button", name="7d").click()
    expect(page).to_have_url(f"{site.url}/charts?range=7d")
    page.reload()
    expect(page.get_by_test_id("charts")).to_have_attribute("data-loaded", "7d")
    pressed = page.locator("[data-range][aria-pressed=true]")
    expect(pressed).to_have_text("7d")
