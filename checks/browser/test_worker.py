"""The service worker in a real browser, with a hive-web that can be stopped."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from checks.browser.conftest import Profile
from checks.browser.delivery import RECORD, SHOWN, Delivery
from checks.browser.kit import WAIT_MS
from checks.browser.pages import Dashboard
from checks.kits.net.ports import free_port
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


LIST = "/notifications"


@dataclass
class Own:
    """A dashboard of this module's own, and what to do with it."""

    hive: FakeHive
    url: str
    web: Any

    def open(self, context: BrowserContext, script: str = "", path: str = "/") -> Page:
        """Open a page with a script of the test; wait for the worker."""
        page = context.new_page()
        page.add_init_script(script)
        dashboard = Dashboard(page, self.url).with_session(self.hive.new_session())
        page.goto(f"{self.url}{path}")
        dashboard.live()
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
def context(windowed: Profile, own: Own) -> Iterator[BrowserContext]:
    """An empty profile, without a worker, of the browser in which pages may notify."""
    windowed.context.grant_permissions(["notifications"], origin=own.url)
    yield windowed.context
    windowed.empty()


@pytest.fixture(scope="module")
def plain(browser: Browser) -> Iterator[Profile]:
    with contextlib.closing(browser.new_context()) as context:
        yield Profile(context)


@pytest.fixture
def quiet(plain: Profile) -> Iterator[BrowserContext]:
    """The same of the one without windows, where no page may notify."""
    yield plain.context
    plain.empty()


def test_it_keeps_no_page_of_the_hive(own: Own, quiet: BrowserContext) -> None:
    page = own.open(quiet)
    for path in ("/", "/approvals", "/agents/alice", "/messages"):
        page.goto(f"{own.url}{path}")
    page.evaluate("fetch('/api/status').then((answer) => answer.text())")
    kept = page.evaluate(_KEPT)
    assert all(one.startswith(own.url) for one in kept)
    assert {one.rpartition("/")[2] for one in kept} == {
        *("offline", "hive.css", "diff.css", "favicon.svg", "icon-192.png"),
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


def note(**more: str) -> str:
    fields = {
        "title": "Approval 7 of alice is pending",
        "path": "/approvals/7",
        "tag": "approval-7",
    }
    return json.dumps({**fields, **more})


def test_a_push_is_shown_and_its_click_opens_the_page(
    own: Own, context: BrowserContext
) -> None:
    page = own.open(context)
    delivery = Delivery(own.url, context, page)
    delivery.push(note())
    (shown,) = delivery.shown(1)
    assert shown == {
        "title": "Approval 7 of alice is pending",
        "body": "",
        "tag": "approval-7",
        "path": f"{own.url}/approvals/7",
    }
    delivery.push(note())  # the same again is the same one
    delivery.shown(2)
    delivery.push(note(tag="approval-8", path="/approvals/8"))
    delivery.shown(3)
    assert {one["tag"] for one in delivery.on_screen()} == {"approval-7", "approval-8"}
    assert len(delivery.on_screen()) == 2
    clicked = delivery.click("approval-7")
    assert clicked == {"opened": [f"{own.url}/approvals/7"], "left": 0}
    page.goto(clicked["opened"][0])
    expect(page.get_by_test_id("approval-state")).to_be_visible()


HOSTILE: Final = (
    ("", "/"),
    ("no json", "/"),
    ("null", "/"),
    ("[]", "/"),
    (note(path="https://evil.example/"), ""),
    (note(path="//evil.example/x"), ""),
    (note(path="javascript:alert(1)"), ""),
    (note(path="http://["), ""),
    (note(title="x" * 3000), "/approvals/7"),
)
"""What is pushed, and the page that it leads to; an origin alone is the overview."""


def test_whatever_is_pushed_opens_only_pages_of_ours(
    own: Own, context: BrowserContext
) -> None:
    page = own.open(context)
    delivery = Delivery(own.url, context, page)
    for number, (data, path) in enumerate(HOSTILE, start=1):
        delivery.push(data)
        shown = delivery.shown(number)[-1]
        assert shown["path"] == f"{own.url}{path}", data
        assert 0 < len(shown["title"]) <= 500


def test_a_page_and_a_push_tell_once(own: Own, context: BrowserContext) -> None:
    page = own.open(context, _SUBSCRIBED)
    page.evaluate("localStorage.setItem('hive-push', JSON.stringify({ id: 1 }))")
    delivery = Delivery(own.url, context, page)
    page.evaluate(RECORD)
    own.hive.emit("approval.created", "alice", approval=7)
    (told,) = page.evaluate(SHOWN, [1, WAIT_MS])
    assert told["title"] == "alice needs your approval" and told["body"]
    delivery.push(note())
    (pushed,) = delivery.shown(1)
    assert pushed == {**told, "path": f"{own.url}/approvals/7"}
    assert len(delivery.on_screen()) == 1


# A push service for the page: the browser's own needs the network.
_SUBSCRIBED = """
if (window.PushManager) {
  class Subscription {
    constructor(key) {
      this.endpoint = "https://push.example/send/1";
      this.options = { applicationServerKey: key.buffer };
    }
    toJSON() {
      return { endpoint: this.endpoint, keys: { p256dh: "BAAA", auth: "AAAA" } };
    }
    async unsubscribe() {
      localStorage.removeItem("test-push");
      return true;
    }
  }
  PushManager.prototype.getSubscription = async () => {
    const key = JSON.parse(localStorage.getItem("test-push") ?? "null");
    return key && new Subscription(Uint8Array.from(key));
  };
  PushManager.prototype.subscribe = async (options) => {
    if (!options.userVisibleOnly) throw new Error("it must be visible");
    if (localStorage.getItem("test-refuses")) throw new Error("no push service");
    const key = options.applicationServerKey;
    localStorage.setItem("test-push", JSON.stringify([...key]));
    return new Subscription(key);
  };
}
"""


def subscribing(own: Own, context: BrowserContext) -> Page:
    """Open the list of a hive that no browser has subscribed to."""
    own.hive.reset()
    own.hive.browsers = []
    return own.open(context, _SUBSCRIBED, LIST)


def test_the_button_subscribes_and_muting_ends_it(
    own: Own, context: BrowserContext
) -> None:
    page = subscribing(own, context)
    bell = page.get_by_test_id("bell")
    expect(bell).to_have_attribute("data-state", "on")  # the permission is there
    expect(page.get_by_test_id("browser")).to_have_count(0)
    page.get_by_role("button", name="Subscribe this browser").click()
    expect(page.get_by_test_id("browser")).to_have_count(1)
    expect(page.get_by_test_id("browser")).to_contain_text("this browser")
    expect(page.get_by_test_id("push-this")).to_contain_text(
        "This browser is subscribed."
    )
    (asked,) = own.hive.called("push_subscribe")
    assert asked.endpoint == "https://push.example/send/1"
    assert (asked.p256dh, asked.auth) == ("BAAA", "AAAA")

    bell.click()
    expect(bell).to_have_attribute("data-state", "muted")
    page.goto(own.url + LIST)
    expect(page.get_by_test_id("browser")).to_have_count(0)
    assert page.evaluate("localStorage.getItem('test-push')") is None
    bell.click()
    said = page.get_by_test_id("flash").last
    expect(said).to_contain_text("This browser is subscribed")
    assert len(own.hive.browsers) == 1


# What the browser says when it has replaced a subscription, or ended it.
_REPLACED = """async (renewed) => {
  const subscription = (endpoint) => ({
    endpoint, toJSON: () => ({ endpoint, keys: { p256dh: "BBBB", auth: "BBBB" } }),
  });
  PushManager.prototype.getSubscription = async () => null;
  PushManager.prototype.subscribe = async (options) => {
    if (!options.userVisibleOnly || options.applicationServerKey.length !== 65)
      throw new Error("with the hive's key, and visible");
    return subscription("https://push.example/send/3");
  };
  const event = new Event("pushsubscriptionchange");
  const waits = [];
  event.waitUntil = (work) => waits.push(work);
  event.oldSubscription = subscription("https://push.example/send/1");
  event.newSubscription = renewed ? subscription("https://push.example/send/2") : null;
  self.dispatchEvent(event);
  const ends = await Promise.allSettled(waits);
  return ends.map(({ status, reason }) => (reason ? String(reason) : status));
}"""


def test_a_subscription_that_the_browser_replaced_is_told_to_the_hive(
    own: Own, quiet: BrowserContext
) -> None:
    own.hive.reset()
    page = own.open(quiet)
    worker = quiet.service_workers[-1]
    for number, renewed in enumerate((True, False), start=1):
        assert worker.evaluate(_REPLACED, renewed) == ["fulfilled"]
        asked = own.hive.called("push_subscribe")
        assert len(asked) == number
        assert asked[-1].endpoint == f"https://push.example/send/{number + 1}"
        assert asked[-1].replaces == "https://push.example/send/1"
        assert (asked[-1].p256dh, asked[-1].auth) == ("BBBB", "BBBB")
    page.locator("form[action='/logout'] button").first.click()
    expect(page.get_by_test_id("login")).to_be_visible()
    assert worker.evaluate(_REPLACED, True) == ["fulfilled"]  # nobody to tell it to
    assert len(own.hive.called("push_subscribe")) == 2


def test_one_that_was_replaced_is_not_taken_for_removed(
    own: Own, context: BrowserContext
) -> None:
    own.hive.reset()
    page = own.open(context, _SUBSCRIBED, LIST)
    with page.expect_navigation():  # it reads its list again
        page.get_by_role("button", name="Subscribe this browser").click()
    expect(page.get_by_test_id("push-this")).to_contain_text("is subscribed")
    page.evaluate(
        "localStorage.setItem('hive-push', JSON.stringify({"
        " ...JSON.parse(localStorage.getItem('hive-push')),"
        " id: 77, endpoint: 'https://push.example/send/0' }))"
    )
    page.reload()
    page.wait_for_function("() => JSON.parse(localStorage['hive-push']).id !== 77")
    assert own.hive.called("push_subscribe")[-1].replaces.endswith("/send/0")
    assert page.evaluate("localStorage.getItem('test-push')") is not None


def test_the_list_follows_events(own: Own, quiet: BrowserContext) -> None:
    own.hive.reset()
    page = own.open(quiet, path=LIST)
    expect(page.get_by_test_id("browser")).to_have_count(1)
    expect(page.get_by_test_id("made")).to_have_count(0)
    own.hive.browsers = []
    own.hive.emit("notification.changed", None)
    expect(page.get_by_text("No browser is subscribed.")).to_be_visible()


def test_removed_in_the_list_it_stays_removed(
    own: Own, context: BrowserContext
) -> None:
    page = subscribing(own, context)
    page.get_by_role("button", name="Subscribe this browser").click()
    page.get_by_test_id("browser").get_by_role("button", name="Remove").click()
    expect(page.get_by_test_id("browser")).to_have_count(0)
    expect(page.get_by_role("button", name="Subscribe this browser")).to_be_visible()
    assert page.evaluate("localStorage.getItem('test-push')") is None
    page.get_by_role("button", name="Subscribe this browser").click()
    expect(page.get_by_test_id("browser")).to_have_count(1)
    own.hive.browsers = []  # from another browser
    page.goto(own.url + LIST)
    expect(page.get_by_role("button", name="Subscribe this browser")).to_be_visible()
    assert own.hive.browsers == []


def test_another_key_of_the_hive_subscribes_anew(
    own: Own, context: BrowserContext
) -> None:
    page = subscribing(own, context)
    page.get_by_role("button", name="Subscribe this browser").click()
    expect(page.get_by_test_id("browser")).to_have_count(1)
    before = page.evaluate("localStorage.getItem('test-push')")
    own.hive.push_key = "BA" + "A" * 85
    page.goto(f"{own.url}/")
    page.wait_for_function("() => localStorage.getItem('hive-push').includes('BAAAA')")
    assert page.evaluate("localStorage.getItem('test-push')") != before
    assert len(own.hive.called("push_subscribe")) == 2


def test_another_browser_is_removed_in_place(own: Own, quiet: BrowserContext) -> None:
    own.hive.reset()
    page = own.open(quiet, path=LIST)
    item = page.get_by_test_id("browser")
    expect(item).to_contain_text("Firefox on Android")
    item.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No browser is subscribed.")).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_test_id("flash").last).to_contain_text("test notification")
    assert own.hive.called("notify_test")


def test_without_a_push_service_it_says_why(own: Own, context: BrowserContext) -> None:
    own.hive.reset()
    page = own.open(context, _SUBSCRIBED, LIST)
    page.evaluate("localStorage.setItem('test-refuses', 'yes')")
    page.get_by_role("button", name="Subscribe this browser").click()
    expect(page.get_by_test_id("push-this")).to_contain_text("no push service")
    assert not own.hive.called("push_subscribe")


def test_last_without_hive_web_it_says_so(own: Own, quiet: BrowserContext) -> None:
    page = own.open(quiet)
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
