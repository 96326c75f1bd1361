"""Shows every component in a browser, and compares it with its recorded picture.

``python -m checks.browser.styleguide.show`` records the pictures again, after a change
that is meant. The page is rendered by the app of a test and put in place of an address
that the dashboard itself does not have.
"""

import base64
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from flask import g, render_template
from jinja2 import ChoiceLoader, FileSystemLoader
from playwright.sync_api import Locator, Page

from checks.browser.kit import chromium
from checks.browser.pages import Dashboard
from checks.kits.net.ports import free_port
from checks.kits.web import data as data
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import hive_web, make_app
from checks.kits.web.hive import FakeHive
from pyglue.api.common import AgentState
from pyglue.api.inbox import MessagesParams
from pyglue.api.operator import MESSAGES
from pyglue.web import rpc
from pyglue.web.pages import diff as diffview
from pyglue.web.pages.agent_filter import AgentFilter
from pyglue.web.pages.approvals import by_effect
from pyglue.web.pages.common import Part
from pyglue.web.pages.doing import activity
from pyglue.web.pages.needs import queue

HERE: Final = Path(__file__).parent
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SHARE: Final = 0.002
"""Of the pixels of a picture, so many may differ."""
WIDTH: Final = 1000
ICONS: Final = (
    *("overview", "approvals", "messages", "activity", "metrics", "bell", "info"),
    *("halt", "log-out", "start", "stop", "restart", "resume", "log", "search"),
    *("write", "pause", "terminal", "files", "compact", "new", "rebuild", "trash"),
    "more",
)
_COMPARE: Final = """async ([one, other]) => {
  const load = async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  };
  const [a, b] = [await load(one), await load(other)];
  if (a.width !== b.width || a.height !== b.height)
    return `${b.width} x ${b.height} pixels instead of ${a.width} x ${a.height}`;
  let differ = 0;
  for (let at = 0; at < a.data.length; at += 4) {
    const by = [0, 1, 2].map((k) => Math.abs(a.data[at + k] - b.data[at + k]));
    if (Math.max(...by) > 40) differ += 1;
  }
  return differ / (a.data.length / 4);
}"""
_STILL: Final = """async () => {
  await import("/static/turn.js");
  const url = "url(/static/vendor/inter.woff2)"; // else optional, when it is late
  const font = new FontFace("Inter", url, { weight: "100 900" });
  document.fonts.add(await font.load());
  await document.fonts.ready;
}"""
"""The font, and what scripts draw."""
_TIMES: Final = """() => {
  for (const one of document.querySelectorAll("time")) {
    one.removeAttribute("datetime");
    one.textContent = "5 min ago";
  }
}"""
"""Times that do not go on."""
_ALONE: Final = """async (name) => {
  document.querySelector("header").hidden = true;
  document.querySelector("h1").hidden = true;
  for (const one of document.querySelectorAll("[data-part]"))
    one.hidden = one.dataset.part !== name;
  const { toast } = await import("/static/toast.js");
  document.getElementById("toasts").replaceChildren();
  if (name !== "toast") return;
  toast({ text: "bob is resumed.", link: ["/agents/bob", "Open"] });
  toast({ text: "1 paused, 1 refused:\\ncarol: It is stopped.", failed: true });
}"""
"""Each at the same place, whatever the others are: places are parts of pixels.

Toasts are there only for their own picture: they lie above all else, and go by
themselves.
"""


def markup(hive: FakeHive) -> str:
    """Render the page of all components."""
    app = make_app(hive)
    app.jinja_env.loader = ChoiceLoader(
        [FileSystemLoader(HERE), app.jinja_loader]  # type: ignore[list-item]
    )
    agents = tuple(hive.agents)
    files = data.detail(data.summary(7)).diffs[0].files

    shown: dict[str, Any] = {
        "states": list(AgentState),
        "icons": ICONS,
        "rows": Part(agents),
        "agent_filter": AgentFilter(sort="cost"),
        "activity": activity(hive.questions),
        "needs_shown": 8,
        "policy": by_effect(data.policy()),
        "files": diffview.build(files),
        "raw": "#",
        "beside": None,
    }
    try:
        with app.test_request_context("/", base_url=hive.origin):
            g.session, g.origin = hive.new_session(), hive.origin
            needs = queue(Part(agents), Part(tuple(hive.questions)), Part(()))
            asked = MessagesParams(limit=3, clip=400)
            messages = Part(rpc.hive().call(MESSAGES, asked).messages)
            shown |= {"needs": needs, "messages": messages}
            return render_template("guide.html", **shown)
    finally:
        app.extensions["hyperhive"].hub.close()


def opened(page: Page, url: str, html: str) -> dict[str, Locator]:
    """Show the page; return its components by name. Somebody is logged in."""
    at = f"{url}/styleguide"
    page.route(at, lambda route: route.fulfill(body=html, content_type="text/html"))
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.goto(at)
    page.evaluate(_STILL)
    page.wait_for_selector("#turn .turn-end")
    page.evaluate(_TIMES)
    parts = page.locator("[data-part]")
    names = parts.evaluate_all("all => all.map((one) => one.dataset.part)")
    found = {name: page.locator(f'[data-part="{name}"]') for name in names}
    return {**found, "toast": page.locator("#toasts")}


def alone(page: Page, name: str) -> None:
    """Show one component and hide the others."""
    page.evaluate(_ALONE, name)


def pictures(page: Page, parts: dict[str, Locator]) -> Iterator[tuple[str, bytes]]:
    """Take each component in both schemes, with the name of its picture."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for name, part in parts.items():
            alone(page, name)
            yield f"{name}-{scheme}.png", part.screenshot(animations="disabled")


def differs(page: Page, recorded: bytes, taken: bytes) -> str | None:
    """Return how a picture differs from the recorded one, if more than it may."""
    if recorded == taken:
        return None
    both = [base64.b64encode(one).decode() for one in (recorded, taken)]
    found = page.evaluate(_COMPARE, both)
    if isinstance(found, str):
        return found
    return None if found <= SHARE else f"{found:.2%} of its pixels differ"


def prepare(hive: FakeHive) -> None:
    """Let the hive have a turn for the timeline."""
    hive.emit("turn.started", "alice", turn=41, model="haiku")
    said = {"text": "All tests pass."}
    hive.emit("turn.event", "alice", turn=41, kind="text", data=said)
    fields = {"outcome": "ok", "reason": None, "duration_ms": 8240, "steps": 1}
    hive.emit("turn.ended", "alice", turn=41, **fields)


def main() -> int:
    """Record the pictures."""
    with contextlib.ExitStack() as stack:
        runtime, port = (
            Path(stack.enter_context(tempfile.TemporaryDirectory())),
            free_port(),
        )
        hive = stack.enter_context(
            fake_hive.running(runtime / "operator.sock", port=port)
        )
        stack.enter_context(hive_web(runtime, port))
        browser = stack.enter_context(chromium())
        page = browser.new_page(service_workers="block")
        Dashboard(page, hive.origin).log_in(hive.link())
        prepare(hive)
        html = markup(hive)
        for name, taken in pictures(page, opened(page, hive.origin, html)):
            (HERE / name).write_bytes(taken)
            print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
