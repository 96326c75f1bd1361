"""Fixtures of the browser tests: one chromium, one hive-web before a fake hive.

``--shots DIRECTORY`` keeps a picture of the last page of every test. Without
chromium the group is NOT RUN, with the reason; ``HIVE_TEST_REQUIRE=all`` makes that
a failure.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    BrowserType,
    Page,
    expect,
    sync_playwright,
)

from checks.browser.kit import CHROMIUM, WAIT_MS, shell, with_windows
from checks.browser.pages import Dashboard
from checks.browser.tab import Tab, origin, watched
from checks.kits.host.hive import Hive, running_hive
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import hive_web
from checks.kits.web.hive import FakeHive
from checks.kits.web.visitor import log_in
from pyglue.api.common import NoParams
from pyglue.api.operator import LOGIN_CODE
from pyglue.cli.local.launcher import PARTS

T = TypeVar("T")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "own_tab: it changes its tab for good")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--shots``."""
    parser.addoption("--shots", type=Path, help="write screenshots to this directory")


@pytest.fixture(scope="session")
def engine() -> Iterator[BrowserType]:
    """What starts Debian's chromium."""
    if not CHROMIUM.exists():
        missing = f"no chromium at {CHROMIUM}; set HIVE_TEST_CHROMIUM"
        if os.environ.get("HIVE_TEST_REQUIRE") == "all":
            pytest.fail(missing)
        pytest.skip(f"NOT RUN: {missing}")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="session")
def browser(engine: BrowserType) -> Iterator[Browser]:
    """Debian's chromium."""
    with shell(engine) as running:
        yield running


@pytest.fixture(scope="session")
def windows(engine: BrowserType) -> Iterator[Browser]:
    """The same with windows, for what it does differently without."""
    with with_windows(engine) as running:
        yield running


@dataclass
class Site:
    """A dashboard, and the hive behind it."""

    hive: FakeHive
    url: str

    def link(self) -> str:
        """Return what ``hive login`` would print."""
        return self.hive.link()


@pytest.fixture(scope="session")
def one_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A real hive-web before a fake hive, for all tests."""
    runtime, port = tmp_path_factory.mktemp("site"), free_port()
    with (
        fake_hive.running(runtime / "operator.sock", port=port) as hive,
        hive_web(runtime, port),
    ):
        yield Site(hive, hive.origin)


@pytest.fixture
def site(one_site: Site) -> Site:
    """The site with its first data again; nobody is logged in."""
    one_site.hive.reset()
    return one_site


@dataclass
class Hosted:
    """A whole real hive; its event loop runs in a thread, beside the browser's."""

    hive: Hive
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the hive's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def link(self) -> str:
        """Return what ``hive login`` would print."""
        return self.run(self.hive.operator.call(LOGIN_CODE, NoParams())).url

    def visitor(self, page: Page) -> Dashboard:
        """Return an operator who is logged in; no page is open yet."""
        cookie = self.run(log_in(self.hive))
        return Dashboard(page, self.hive.url).with_session(cookie.partition("=")[2])


@contextlib.contextmanager
def hosting(room: Path, *, peers: bool = False) -> Iterator[Hosted]:
    """Run the hive of the story in ``room``, with real agents or peers of tests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE_S)

    beside = ("web",) if peers else PARTS
    whole: AbstractAsyncContextManager[Hive] = running_hive(
        room, peers=peers, beside=beside
    )
    try:
        yield Hosted(run(whole.__aenter__()), loop)
    finally:
        run(whole.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """One such hive for all tests that do not mind what others did on it.

    Its agents are peers: what is looked at is the page, and no word of the CLI.
    """
    with hosting(tmp_path_factory.mktemp("hosted"), peers=True) as running:
        yield running


class Profile:
    """A profile of the browser for many tests; each finds it empty.

    What it keeps are files that may be cached, and the process that draws pages: a
    profile for each test takes half as much time again.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        context.set_default_timeout(WAIT_MS)
        self._kept = context.new_page()  # to speak with the browser after a test
        self._session = context.new_cdp_session(self._kept)
        self._origins: set[str] = set()
        self._tab: Tab | None = None
        self._tests = 0
        context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on("framenavigated", lambda frame: self._origins.add(origin(frame.url)))

    def tab(self) -> Tab:
        """Return the tab of tests that need none of their own."""
        if self._tab is None:
            self._tab = Tab(self.context.new_page())
        return self._tab

    def empty(self) -> None:
        """Close its pages; forget what they have stored and what they may do."""
        stays = None if self._tab is None else self._tab.page
        for page in self.context.pages:
            if page is not self._kept and page is not stays:
                page.close()
        if self._tab is not None and not self._tab.tidy():
            self._tab = None
        for one in self._origins:
            params = {"origin": one, "storageTypes": "all"}
            self._session.send("Storage.clearDataForOrigin", params)
        self._origins.clear()
        self.context.clear_cookies()
        self.context.clear_permissions()
        self._tests += 1
        if self._tests % 10 == 0:
            # Closed pages lie about until the process that drew them has no memory
            # to spare: after a hundred of them a page took a third more time.
            self._session.send("HeapProfiler.collectGarbage")


@contextlib.contextmanager
def _profile(browser: Browser, *, scripts: bool) -> Iterator[Profile]:
    context = browser.new_context(
        java_script_enabled=scripts,
        service_workers="block",  # tests of it have a profile of their own
        reduced_motion="reduce",  # nothing tested here moves, and each frame costs
    )
    with contextlib.closing(context):
        yield Profile(context)


@pytest.fixture(scope="session")
def profile(browser: Browser) -> Iterator[Profile]:
    """The profile of all tests that need none of their own."""
    with _profile(browser, scripts=True) as shared:
        yield shared


@pytest.fixture
def plain_profile(browser: Browser) -> Iterator[Profile]:
    """One with JavaScript switched off, for one test: closing its page once hung."""
    with _profile(browser, scripts=False) as shared:
        yield shared


@pytest.fixture(scope="session")
def windowed(windows: Browser) -> Iterator[Profile]:
    """A profile of the browser with windows: without them no page may notify."""
    with contextlib.closing(windows.new_context()) as context:
        yield Profile(context)


@contextlib.contextmanager
def _watching(
    page: Page, problems: list[str], request: pytest.FixtureRequest
) -> Iterator[Page]:
    yield page
    directory = request.config.getoption("--shots", None)
    if directory is not None:
        name = request.node.name.replace("/", "_")
        page.screenshot(path=directory / f"{name}.png", full_page=True)
    assert not problems


@contextlib.contextmanager
def _page(profile: Profile, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = profile.context.new_page()
    with _watching(page, watched(page), request):
        yield page


@pytest.fixture
def page(profile: Profile, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser page as new; errors of its scripts and of the policy fail the test.

    A test that changes the tab for good is marked ``own_tab``.
    """
    try:
        if request.node.get_closest_marker("own_tab") is not None:
            with _page(profile, request) as fresh:
                yield fresh
        else:
            tab = profile.tab()
            with _watching(tab.page, tab.problems, request) as shown:
                yield shown
    finally:
        profile.empty()


@pytest.fixture
def plain_page(
    plain_profile: Profile, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """The same with JavaScript switched off."""
    with _page(plain_profile, request) as fresh:
        yield fresh


@pytest.fixture
def logged_in(site: Site, page: Page) -> Dashboard:
    """An operator who is logged in; no page is open yet."""
    return Dashboard(page, site.url).with_session(site.hive.new_session())


@pytest.fixture
def dashboard(logged_in: Dashboard) -> Dashboard:
    """An operator who is logged in, on the overview, with live events."""
    return logged_in.overview().live()


@pytest.fixture
def plain_dashboard(site: Site, plain_page: Page) -> Dashboard:
    """An operator who is logged in without JavaScript; no page is open yet."""
    return Dashboard(plain_page, site.url).with_session(site.hive.new_session())
