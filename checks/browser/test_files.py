"""An agent's files, from its page to their contents."""

from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.unit.web.pages.test_files import PNG


def test_from_the_agents_page_to_a_file(site: Site, logged_in: Dashboard) -> None:
    top = site.hive.layout.agent_state("alice")
    (top / "reports").mkdir(parents=True)
    (top / "reports" / "two words.md").write_text("# Lamps\n\nAll are lit.")
    (top / "reports" / "chart").write_bytes(PNG)
    page = logged_in.page

    def follow(name: str, *, exact: bool = False) -> None:
        _in_reach(page, page.get_by_role("link", name=name, exact=exact))
        page.get_by_role("link", name=name, exact=exact).click()

    logged_in.open_agent("alice")
    follow("Files", exact=True)
    follow("reports/")
    expect(page.get_by_test_id("files").locator("tbody tr")).to_have_count(2)
    follow("two words.md")
    expect(page.get_by_test_id("content")).to_contain_text("All are lit.")
    download = page.get_by_test_id("download")
    _in_reach(page, download)
    with page.expect_download() as saved:
        download.click()
    assert saved.value.suggested_filename == "two words.md"
    assert saved.value.path().read_text() == "# Lamps\n\nAll are lit."
    follow("Show as text")
    expect(page.get_by_test_id("content")).to_have_text("# Lamps\n\nAll are lit.")
    follow("reports", exact=True)
    follow("chart")
    image = page.get_by_role("img", name="What chart shows")
    _in_reach(page, image)
    expect(image).to_have_js_property("naturalWidth", 1)


def _in_reach(page: Page, one: Locator) -> None:
    """Look whether a click would reach it in windows of each width."""
    for width in (800, 390, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        one.click(trial=True)
        assert page.evaluate("document.documentElement.scrollWidth") == width
