"""The service worker in a real browser, before a hive-web that can be stopped."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from checks.browser.pages import Dashboard
from checks.kits.net import free_port
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import hive_web
from checks.kits.web.hive import FakeHive

_READY = """async () => {
  const { active } = await navigator.serviceWorker.ready;
  if (active.state !== "activated")
    await new Promise((resolve) => active.addEventListener("statechange", resolve));
  return active.scriptURL;
}"""
_KEPT = """async () => {
  const found = [];
  for (const name of await caches.keys())
    for (const { url } of await (await caches.open(name)).keys()) found.push(url);
  return found;
}"""


@dataclass
class Own:
    """A dashboard of this module's own, and what to do with it."""

    hive: FakeHive
    url: str
    web: Any

    def open(self, context: BrowserContext) -> Page:
        """Log in, and wait for the worker."""
        page = context.new_page()
        link = f"{self.url}/login?code={self.hive.new_code()}"
        Dashboard(page, self.url).log_in(link).live()
        assert page.evaluate(_READY) == f"{self.url}/worker.js"
        return page


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    room, port = tmp_path_factory.mktemp("own"), free_port()
    with (
        fake_hive.running(room / "operator.sock", port=port) as hive,
        hive_web(room, port) as process,
    ):
        yield Own(hive, hive.origin, process)


@pytest.fixture
def context(windows: Browser, own: Own) -> Iterator[BrowserContext]:
    made = windows.new_context()
    made.grant_permissions(["notifications"], origin=own.url)
    yield made
    made.close()


def test_it_keeps_no_page_of_the_hive(own: Own, context: BrowserContext) -> None:
    page = own.open(context)
    for path in ("/", "/approvals", "/agents/alice", "/messages"):
        page.goto(f"{own.url}{path}")
    page.evaluate("fetch('/api/status').then((answer) => answer.text())")
    kept = {one.removeprefix(own.url) for one in page.evaluate(_KEPT)}
    assert kept == {
        *("/offline", "/static/hive.css", "/static/diff.css"),
        *("/static/favicon.svg", "/static/icon-192.png"),
    }
    text = page.evaluate("caches.match('/offline').then((answer) => answer.text())")
    assert "alice" not in text and "csrf" not in text


def test_the_app_can_be_installed(own: Own, context: BrowserContext) -> None:
    page = own.open(context)
    session = context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert json.loads(manifest["data"])["name"] == "hyperhive"
    found = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    ids = {one["errorId"] for one in found}
    assert ids <= {"in-incognito"}  # as every context of a test is


def test_last_without_hive_web_it_says_so(own: Own, context: BrowserContext) -> None:
    page = own.open(context)
    own.web.terminate()
    own.web.wait(20)
    for path in ("/", "/approvals/7", "/agents/alice"):
        page.goto(f"{own.url}{path}")
        said = page.get_by_test_id("offline")
        expect(said).to_contain_text("The dashboard cannot be reached")
        assert "alice" not in page.content().replace("/agents/alice", "")
        assert page.url == f"{own.url}{path}"
        assert page.evaluate("document.styleSheets.length") == 2
    expect(page.get_by_role("link", name="Try again")).to_be_visible()
    expect(page.locator("nav")).to_have_count(0)
