"""Whatever agents write stays text in a real browser: no script runs, no policy breaks.

The page fixture fails the test on an error of a script and on a violation of the
policy; a dialog, a request to elsewhere or another title fails it here.
"""

import pytest
from playwright.sync_api import Dialog, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web.data import commented
from checks.kits.web.hostile import CORPUS, poison, poisoned

PATHS = (
    "/",
    "/approvals",
    "/approvals/7",
    "/approvals/7?view=split",
    "/agents/alice/files",
    "/messages",
    "/messages/pairs",
    "/inbox",
    "/charts",
    "/activity",
    "/operations",
    "/doctor",
    "/notifications",
    "/agents/alice",  # the last: it stays open for events
)
_KINDS = ("text", "thinking", "tool_use", "tool_result", "denied", "retry", "result")
OURS = ".spark, .icon:has(> use[href^='/static/'][href*='/icons.svg#'])"
FOREIGN = f"""(page) => [...page.querySelectorAll(
  `main script, main iframe, main base, main svg:not({OURS}),
  [onerror], [onfocus], [onload], [href^="javascript:"], [action^="javascript:"]`
)].map((one) => `${{one.localName}}: ${{one.outerHTML.slice(0, 200)}}`)"""
"""What no text may become, in a page that is open or that was only parsed."""
PARSED = f"""async (paths) => {{
  const [foreign, found] = [{FOREIGN}, []];
  for (const path of paths) {{
    const answer = await fetch(path);
    const markup = await answer.text();
    const page = new DOMParser().parseFromString(markup, "text/html");
    for (const one of foreign(page)) found.push(`${{path}}: ${{one}}`);
    if (!answer.ok || !page.title.endsWith("· hyperhive"))
      found.push(`${{path}}: ${{answer.status}} ${{page.title}}`);
  }}
  return found;
}}"""
TURNS = 2
"""How often every page is opened, each time with other texts in other places."""


def test_each_text_is_only_text_wherever_it_stands(
    site: Site, logged_in: Dashboard
) -> None:
    """As the browser's parser reads each page of which every free text is that one."""
    page = logged_in.page
    page.goto(f"{site.url}/offline")
    commented(site.hive.approvals)
    for text in CORPUS:
        poisoned(site.hive, text)
        assert page.evaluate(PARSED, PATHS) == [], text[:80]


@pytest.mark.own_tab
def test_no_text_becomes_more_than_text(site: Site, logged_in: Dashboard) -> None:
    """On pages that are opened, with all scripts and all texts at once."""
    page = logged_in.page
    strange: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        strange.append("dialog")
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.on(
        "request",
        lambda sent: strange.append(sent.url) if site.url not in sent.url else None,
    )
    commented(site.hive.approvals)
    for turn in range(TURNS):
        at = turn * len(CORPUS) // TURNS
        poisoned(site.hive, *CORPUS[at:], *CORPUS[:at])
        for path in PATHS:
            page.goto(site.url + path)
            assert page.title().endswith("· hyperhive")
            assert page.evaluate(f"({FOREIGN})(document)") == [], path
    logged_in.live()
    for text in CORPUS:
        event = {
            "name": text,
            "text": text,
            "input": {text[:100]: text},
            "reason": text,
        }
        for kind in _KINDS:
            data = {**event, "id": "1", "tool": text, "attempt": text[:100]}
            site.hive.emit("turn.event", "alice", turn=1, kind=kind, data=data)
        seq = site.hive.emit(
            "turn.event", "alice", turn=1, kind=text[:50], data=text[:50]
        )
        expect(page.locator("body")).to_have_attribute("data-seen", str(seq))
        assert page.evaluate(f"({FOREIGN})(document)") == [], text[:80]
    assert strange == []


def test_markup_is_found(logged_in: Dashboard) -> None:
    """Or the tests above would prove nothing."""
    parse = "(text) => new DOMParser().parseFromString(text, 'text/html')"
    markup = f"<main>{''.join(CORPUS)}</main>"
    logged_in.page.goto("about:blank")  # the site's policy would report it
    found = logged_in.page.evaluate(f"(text) => ({FOREIGN})(({parse})(text))", markup)
    assert {one.partition(":")[0] for one in found} >= {
        *("script", "img", "svg", "iframe", "base", "a"),
    }


def test_the_poison_reaches_the_pages(site: Site, logged_in: Dashboard) -> None:
    """Or the test above would prove nothing."""
    site.hive.agents = [poison(one, "<b>poison</b>") for one in site.hive.agents]
    logged_in.overview()
    expect(logged_in.section("agents")).to_contain_text("<b>poison</b>")
