"""The files of an agent, from its page to what is in them."""

from playwright.sync_api import expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.unit.web.pages.test_files import PNG


def test_from_the_agents_page_to_a_file(site: Site, logged_in: Dashboard) -> None:
    top = site.hive.layout.agent_state("alice")
    (top / "reports").mkdir(parents=True)
    (top / "reports" / "two words.md").write_text("# Lamps\n\nAll are lit.")
    (top / "reports" / "chart").write_bytes(PNG)
    page = logged_in.page
    for width in (1440, 800, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(site.url + "/agents/alice")
        page.get_by_role("link", name="Files", exact=True).click()
        page.get_by_role("link", name="reports/").click()
        expect(page.get_by_test_id("files").locator("tbody tr")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.get_by_role("link", name="two words.md").click()
        expect(page.get_by_test_id("content")).to_contain_text("All are lit.")
        with page.expect_download() as saved:
            page.get_by_test_id("download").click()
        assert saved.value.suggested_filename == "two words.md"
        assert saved.value.path().read_text() == "# Lamps\n\nAll are lit."
        page.get_by_role("link", name="Show as text").click()
        expect(page.get_by_test_id("content")).to_have_text("# Lamps\n\nAll are lit.")
        page.get_by_role("link", name="reports", exact=True).click()
        page.get_by_role("link", name="chart").click()
        image = page.get_by_role("img", name="What chart shows")
        expect(image).to_be_visible()
        expect(image).to_have_js_property("naturalWidth", 1)
