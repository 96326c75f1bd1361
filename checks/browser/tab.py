"""The tab in which tests open their pages, one test after another.

A new tab and the first page in it take 0.2 s of processor time more than a page in one
that has shown the site. What would stay in the tab is refused: a test that needs it is
marked ``own_tab``, and has one that is closed after it.
"""

from typing import Any, Final, Literal, NoReturn
from urllib.parse import urlsplit

from playwright.sync_api import Error, Page, ViewportSize

_WINDOW: Final[ViewportSize] = {"width": 1280, "height": 720}
"""Playwright's own size of a page."""
Scheme = Literal["light", "dark"]
_BARE: Final = "/static/favicon.svg"
"""A page of the site without scripts."""


def origin(url: str) -> str:
    """Return scheme, host and port."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def watched(page: Page) -> list[str]:
    """Return the errors of a page's scripts and of the policy, as they come."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda line: problems.append(line.text) if "Policy" in line.text else None,
    )
    return problems


class _Kept(Page):
    """A tab that keeps nothing of a test."""

    scheme: Scheme

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("It would stay in the tab: mark the test own_tab.")

    add_init_script = add_locator_handler = expose_binding = expose_function = _refuse
    on = once = route = route_web_socket = _refuse
    set_extra_http_headers = _refuse
    clock = property(_refuse)

    def emulate_media(self, *, color_scheme: Scheme) -> None:  # type: ignore[override]
        """Show the page in a colour scheme; the next test's is light again."""
        self.scheme = color_scheme
        super().emulate_media(color_scheme=color_scheme)


def _kept(page: Page) -> _Kept:
    page.__class__ = _Kept
    assert isinstance(page, _Kept)
    page.scheme = "light"
    return page


class Tab:
    """A tab for many tests, made when the first of them opens a page."""

    def __init__(self, page: Page) -> None:
        self.problems = watched(page)
        self.page = _kept(page)

    def tidy(self) -> bool:
        """Leave the test's page, and forget what it has kept; False if it cannot."""
        page = self.page
        self.problems.clear()
        if page.is_closed():
            return False
        try:
            if page.url != "about:blank":
                page.goto(origin(page.url) + _BARE)
                page.evaluate("sessionStorage.clear()")
            page.mouse.move(0, 0)
            if page.scheme != "light":
                page.emulate_media(color_scheme="light")
            if page.viewport_size != _WINDOW:
                page.set_viewport_size(_WINDOW)
        except Error:  # the site has ended, or the page is not its
            page.close()
            return False
        return True
