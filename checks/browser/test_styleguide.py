"""Every component looks as recorded, in light and dark."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator

from checks.browser.conftest import Site
from checks.browser.kept_page import kept_page
from checks.browser.pages import Dashboard
from checks.browser.styleguide import show


@pytest.fixture(scope="module")
def parts(one_site: Site, browser: Browser) -> Iterator[dict[str, Locator]]:
    """Every component on its page, which the last test of them changes."""
    hive = one_site.hive
    hive.reset()
    show.prepare(hive)
    with kept_page(browser) as page:
        Dashboard(page, one_site.url).with_session(hive.new_session())
        yield show.opened(page, one_site.url, show.markup(hive))


def test_every_component_looks_as_recorded(
    parts: dict[str, Locator], request: pytest.FixtureRequest
) -> None:
    page = parts["button"].page
    directory = request.config.getoption("--shots", None)
    found, names = [], set()
    for name, taken in show.pictures(page, parts):
        names.add(name)
        if directory is not None:
            (directory / name).write_bytes(taken)
        recorded = show.HERE / name
        if not recorded.exists():
            found.append(f"{name}: not recorded")
        elif (how := show.differs(page, recorded.read_bytes(), taken)) is not None:
            found.append(f"{name}: {how}")
    assert not found, (
        "Look at these components (--shots DIRECTORY writes them). If they are right, "
        "record them: python -m checks.browser.styleguide.show\n" + "\n".join(found)
    )
    assert {one.name for one in show.HERE.glob("*.png")} == names


def test_a_changed_component_is_seen(parts: dict[str, Locator]) -> None:
    part = parts["button"]
    page = part.page
    show.alone(page, "button")
    before = part.screenshot()
    assert show.differs(page, before, part.screenshot()) is None
    page.evaluate("document.querySelector('[data-part] .primary').disabled = true")
    page.evaluate("document.querySelector('[data-part] .primary').textContent = 'Fine'")
    assert "pixels" in str(show.differs(page, before, part.screenshot()))


def test_users_have_no_such_page(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    answer = page.goto(f"{site.url}/styleguide")
    assert answer is not None and answer.status == 404
