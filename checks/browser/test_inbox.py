"""The inbox empties: reading, answering and clearing it, in place."""

from playwright.sync_api import expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data


def test_read_messages_are_folded_away_and_all_are_read_at_once(
    site: Site, dashboard: Dashboard
) -> None:
    page, hive = dashboard.page, site.hive
    inbox = dashboard.section("inbox")
    expect(inbox.get_by_text("bob has failed")).to_be_hidden()
    inbox.get_by_text("Read (1)").click()
    expect(inbox.get_by_text("bob has failed")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    hive.inbox += [
        data.message(number, recipient="operator", body=f"Report {number}")
        for number in range(29, 13, -1)
    ]
    hive.emit("message.sent", "operator", id=31, sender="alice", recipient="operator")
    expect(inbox.locator(".unread")).to_have_count(17)
    inbox.get_by_role("button", name="Mark all read").click()
    expect(dashboard.flash()).to_contain_text("All messages marked as read")
    expect(inbox.locator(".unread")).to_have_count(0)
    expect(inbox).to_contain_text("No unread messages.")
    expect(inbox.get_by_text("Report 29")).to_be_visible()  # it was open, and stays
    assert page.evaluate("window.sameDocument")
    (asked,) = hive.called("mark")
    assert (asked.mark, asked.ids, asked.up_to) == ("read", (), 31)


def test_a_message_is_read_answered_and_followed_on_its_page(
    site: Site, dashboard: Dashboard
) -> None:
    page, hive = dashboard.page, site.hive
    hive.messages = list(hive.inbox)
    inbox = dashboard.section("inbox")
    inbox.get_by_role("link", name="message 31").click()
    page.wait_for_url("**/messages/31")
    dashboard.live()
    text = page.get_by_role("textbox", name="Reply to carol")
    text.fill("Which two?")
    page.get_by_role("button", name="Send").click()
    expect(dashboard.flash()).to_contain_text("sent to carol")
    thread = page.get_by_test_id("thread")
    expect(thread.get_by_text("Which two?")).to_be_visible()
    expect(text).to_have_value("")
    answer = data.message(
        40, sender="carol", recipient="operator", body="The lexer.", reply_to=31
    )
    hive.messages.insert(0, answer)
    hive.inbox.insert(0, answer)
    hive.emit("message.sent", "operator", id=40, sender="carol", recipient="operator")
    expect(thread.get_by_text("The lexer.")).to_be_visible()
    (sent,) = hive.called("send")
    assert (sent.to, sent.reply_to) == ("carol", 31)
    page.get_by_role("link", name="Inbox", exact=True).click()
    page.wait_for_url("**/inbox")
    expect(inbox.locator(".unread")).to_have_count(0)
    expect(inbox.locator("[data-id='31']")).to_have_count(0)  # a reply marks it done


def test_who_and_when_stand_together(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.page
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{site.url}/messages/31")
    names = page.get_by_test_id("thread").locator(".who")
    first, second = (names.nth(at).bounding_box() for at in range(2))
    assert first is not None and second is not None
    assert second["x"] - first["x"] - first["width"] < 40


def test_the_inbox_is_emptied_by_keys(site: Site, logged_in: Dashboard) -> None:
    page, hive = logged_in.page, site.hive
    hive.inbox.append(data.message(29, recipient="operator", body="An old report"))
    hive.messages = list(hive.inbox)
    page.goto(f"{site.url}/inbox")
    logged_in.live()
    inbox = logged_in.section("inbox")
    mails = inbox.get_by_test_id("inbox-message")
    expect(mails).to_have_count(3)
    for _ in range(2):
        page.keyboard.press("j")
    second = inbox.locator("[data-id='30']")
    expect(second.get_by_role("link", name="message 30")).to_be_focused()
    page.keyboard.press("u")
    expect(inbox.locator(".unread[data-id='30']")).to_be_visible()
    page.keyboard.press("k")  # back from the next one, which had the focus
    page.keyboard.press("e")
    expect(second).to_have_count(0)
    expect(logged_in.flash()).to_contain_text("Message 30 is done")
    expect(inbox.get_by_role("link", name="message 29")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("r")
    text = inbox.get_by_label("Reply to carol")
    expect(text).to_be_focused()
    text.fill("e, u and A are only text here")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(logged_in.flash()).to_contain_text("sent to carol")
    expect(mails).to_have_count(1)
    (sent,) = hive.called("send")
    assert sent.body == "e, u and A are only text here"
    page.keyboard.press("Shift+A")
    expect(inbox.locator(".unread")).to_have_count(0)
    assert hive.finished == {30, 31} and 29 in hive.read
    page.get_by_role("link", name="Done", exact=True).click()
    expect(mails).to_have_count(2)
    inbox.get_by_role("link", name="message 30").click()
    drawer = page.get_by_test_id("drawer")
    drawer.get_by_role("button", name="Reopen").click()
    expect(drawer).to_be_hidden()
    expect(mails).to_have_count(1)


def test_a_pair_leads_to_its_messages(site: Site, dashboard: Dashboard) -> None:
    page, hive = dashboard.page, site.hive
    hive.messages = [
        data.message(42, sender="alice", recipient="manager", body="One"),
        data.message(41, sender="manager", recipient="alice", body="Two"),
        data.message(40, sender="bob", recipient="manager", body="Three"),
    ]
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.get_by_role("link", name="By pair").click()
    dashboard.live()
    pairs = page.get_by_test_id("pair")
    expect(pairs).to_have_count(2)
    expect(pairs.first).to_contain_text("2 messages")
    hive.messages.insert(0, data.message(43, sender="alice", recipient="manager"))
    hive.emit("message.sent", "manager", id=43, sender="alice", recipient="manager")
    expect(pairs.first).to_contain_text("3 messages")
    pairs.first.get_by_role("link").click()
    page.wait_for_url("**/messages?agent=alice&peer=manager")
    expect(page.get_by_test_id("message")).to_have_count(3)
