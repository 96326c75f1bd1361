"""The drawer: a message or an operation beside its list."""

import re

from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data


def drawer(page: Page) -> Locator:
    return page.get_by_test_id("drawer")


def first(page: Page) -> Locator:
    return page.get_by_test_id("message-list").locator("a.sent").first


def test_a_message_is_read_and_answered_beside_the_list(
    site: Site, logged_in: Dashboard
) -> None:
    page = logged_in.page
    long = "\n".join(["A line."] * 40)
    site.hive.messages.insert(
        0, data.message(60, sender="carol", recipient="operator", body=long)
    )
    page.goto(f"{site.url}/messages")
    logged_in.live()
    first(page).click()
    panel = drawer(page)
    expect(panel.get_by_role("heading", name="Message 60")).to_be_focused()
    expect(panel.get_by_test_id("message-body")).to_contain_text("A line.")
    link = panel.get_by_role("link", name="Open as a page")
    expect(link).to_have_attribute("href", f"{site.url}/messages/60")
    reply = panel.get_by_role("textbox", name="Reply to carol")
    reply.fill("Which one?")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(first(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(reply).to_have_value("Which one?")  # what is typed is kept
    panel.get_by_role("button", name="Send").click()
    expect(logged_in.flash()).to_contain_text("sent to carol")
    expect(panel).to_be_hidden()
    expect(page).to_have_url(f"{site.url}/messages")
    (sent,) = site.hive.called("send")
    assert (sent.to, sent.reply_to, sent.body) == ("carol", 60, "Which one?")


def test_it_is_used_by_keys_alone(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    page.goto(f"{site.url}/messages")
    logged_in.live()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    panel = drawer(page)
    expect(panel).to_be_visible()
    for _ in range(30):  # Tab stays in it, or goes to the browser
        page.keyboard.press("Tab")
        inside = "document.activeElement.closest('#drawer, html > body:focus') !== null"
        assert page.evaluate(f"{inside} || document.activeElement === document.body")
    panel.get_by_role("button", name="Close").press("Enter")
    expect(panel).to_be_hidden()
    expect(first(page)).to_be_focused()


def test_it_follows_events(site: Site, logged_in: Dashboard) -> None:
    page, hive = logged_in.page, site.hive
    page.goto(f"{site.url}/messages")
    logged_in.live()
    number = hive.messages[0].id
    first(page).click()
    thread = drawer(page).get_by_test_id("thread")
    expect(thread).to_be_visible()
    answer = data.message(90, sender="bob", body="Seen.", reply_to=number)
    hive.messages.insert(0, answer)
    hive.emit("message.sent", "bob", id=90)
    expect(thread.get_by_text("Seen.")).to_be_visible()
    page.mouse.click(10, 300)  # beside it
    expect(drawer(page)).to_be_hidden()


def test_the_overview_s_forms_open_from_above(site: Site, dashboard: Dashboard) -> None:
    page = dashboard.page
    page.get_by_role("link", name="Message…").click()
    panel = drawer(page)
    expect(panel.get_by_label("To", exact=True)).to_be_focused()
    panel.get_by_label("Message", exact=True).fill("Hello")
    page.keyboard.press("Escape")
    send = dashboard.section("send")
    expect(send.get_by_label("Message", exact=True)).to_have_value("Hello")
    page.get_by_role("link", name="Message…").click()
    panel.get_by_role("button", name="Send").click()
    expect(dashboard.flash()).to_contain_text("sent to")
    expect(panel).to_be_hidden()
    assert [one.body for one in site.hive.called("send")] == ["Hello"]
    page.get_by_role("link", name="New agent…").click()
    expect(panel.get_by_label("Name")).to_be_focused()


def test_an_operation_opens_beside_its_list(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    page.goto(f"{site.url}/operations")
    logged_in.live()
    row = page.get_by_test_id("operation").first
    row.get_by_role("link", name=re.compile("operation$")).click()
    expect(drawer(page).get_by_test_id("operation-page")).to_be_visible()


def test_without_scripts_its_links_lead_there(
    site: Site, plain_dashboard: Dashboard
) -> None:
    page = plain_dashboard.overview().page
    page.get_by_role("link", name="New agent…").click()
    expect(page).to_have_url(f"{site.url}/#spawn")
    page.goto(f"{site.url}/messages")
    first(page).click()
    expect(page).to_have_url(re.compile(r"/messages/\d+$"))
    expect(drawer(page)).to_be_hidden()


def test_a_block_of_code_is_copied(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    code = "Run this:\n\n```\nmake test\nmake <check>\n```\n"
    site.hive.messages.insert(0, data.message(61, sender="carol", body=code))
    page.goto(f"{site.url}/messages")
    logged_in.live()
    copy = page.get_by_test_id("copy")
    for place in (page.get_by_test_id("message-list"), drawer(page)):
        if place.evaluate("(one) => one.localName") == "dialog":
            first(page).click()
        place.locator(".md pre").first.hover()
        copy.click()
        expect(copy).to_have_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        assert text.strip() == "make test\nmake <check>"
        page.mouse.move(5, 5)
        expect(copy).to_be_hidden()
