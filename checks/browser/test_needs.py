"""The queue at the top: items that need the operator, in order, handled in place."""

import re

from playwright.sync_api import Locator, expect

from checks.browser.conftest import Site
from checks.browser.kit import WIDTHS
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from checks.kits.web.hostile import NASTY
from pyglue.api.approvals import ApprovalState, Danger
from pyglue.api.common import AgentState
from pyglue.api.messages import Priority


def queue(dashboard: Dashboard) -> Locator:
    return dashboard.section("needs").locator("[data-item]")


def filled(site: Site) -> None:
    """Let one thing of each kind need the operator, of every urgency."""
    hive, now = site.hive, data.NOW
    hive.agents = [
        data.agent("alice"),
        data.agent("bob", state=AgentState.FAILED, since_at=now - 50, problem="Gone."),
        data.agent("carol", state=AgentState.RETRYING, since_at=now - 40),
    ]
    hive.set_approval(7, danger=Danger.CRITICAL, created_at=now - 10)
    failed = {"agent": "alice", "state": ApprovalState.FAILED, "reason": "No jq."}
    hive.set_approval(6, **failed, decided_at=now - 60)
    hive.approvals = {
        number: one
        for number, one in hive.approvals.items()
        if number == 7 or (number == 6 and one.approval.agent == "alice")
    }
    hive.questions = [
        data.question(4, asked_at=now - 30),
        data.question(5, asker="alice", asked_at=now - 20, expires_at=now + 240),
    ]
    hive.inbox = [
        data.message(31, recipient="operator", sender="carol", sent_at=now - 900),
        data.message(
            30,
            recipient="operator",
            sender="bob",
            sent_at=now - 5,
            priority=Priority.HIGH,
        ),
    ]
    hive.read = set()
    hive.emit("approval.created", "alice", approval=7)


def test_the_most_urgent_is_first_and_of_these_the_oldest(
    site: Site, logged_in: Dashboard
) -> None:
    filled(site)
    dashboard = logged_in.overview().live()
    page = dashboard.page
    # alice's newer approval 7 took the place of her failed one
    rows = (
        ("approval", "critical", "Change to alice"),
        ("stuck", "high", "bob"),
        ("question", "high", "alice asks"),
        ("stuck", "medium", "carol"),
        ("question", "medium", "carol asks"),
        ("unread", "medium", "Message from bob"),
        ("unread", "low", "Message from carol"),
    )
    kinds, urgencies, texts = zip(*rows, strict=True)
    shown = queue(dashboard)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        expect(shown).to_have_count(len(rows))
        expect(shown.get_by_test_id("urgency")).to_have_text(urgencies)
        expect(shown.locator(".who:nth-child(1 of .who)")).to_contain_text(texts)
        found = shown.evaluate_all("(all) => all.map((one) => one.dataset.testid)")
        assert tuple(found) == kinds
        expect(dashboard.section("needs").locator(".count")).to_have_text("7")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        expect(page.get_by_test_id("needs").locator("li").first).to_be_in_viewport()


def test_a_question_is_answered_with_one_click_and_leaves(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    page.evaluate("window.sameDocument = true")
    asked = dashboard.section("needs").get_by_test_id("question")
    for number, width in enumerate(WIDTHS, start=4):
        page.set_viewport_size({"width": width, "height": 900})
        site.hive.questions = [data.question(number)]
        site.hive.emit("question.asked", "carol", question=number)
        expect(asked).to_have_attribute("data-id", str(number))
        asked.get_by_role("button", name="Use the old compiler").click()
        expect(asked).to_have_count(0)
        expect(dashboard.flash()).to_contain_text(f"Question {number} answered")
        assert page.evaluate("window.sameDocument")
        given = site.hive.called("answer")[-1]
        assert (given.question, given.choices) == (number, ("Use the old compiler",))
        assert given.text == ""
    assert len(site.hive.called("answer")) == len(WIDTHS)


def test_what_another_browser_handles_leaves_the_queue(
    site: Site, logged_in: Dashboard
) -> None:
    filled(site)
    dashboard = logged_in.overview().live()
    expect(queue(dashboard)).to_have_count(7)
    site.hive.questions.clear()
    site.hive.emit("question.answered", "carol", question=4)
    expect(queue(dashboard)).to_have_count(5)
    site.hive.read = {30, 31}
    site.hive.emit("message.taken", "operator", id=30)
    expect(queue(dashboard)).to_have_count(3)
    site.hive.agents = [data.agent(name) for name in ("alice", "bob", "carol")]
    site.hive.emit("agent.state", "bob", state="idle")
    expect(queue(dashboard)).to_have_count(1)
    site.hive.set_approval(7, state=ApprovalState.DENIED, reason="No.")
    site.hive.emit("approval.changed", "alice", approval=7, state="denied")
    expect(dashboard.section("needs")).to_contain_text("Nothing needs you.")


def test_the_keyboard_walks_opens_and_answers(site: Site, logged_in: Dashboard) -> None:
    filled(site)
    dashboard = logged_in.overview().live()
    page = dashboard.page
    expect(queue(dashboard)).to_have_count(7)
    for _ in range(3):
        page.keyboard.press("j")
    third = queue(dashboard).nth(2)
    expect(third.locator(":focus")).to_have_count(1)
    page.keyboard.press("9")  # there is no ninth option
    page.keyboard.press("2")
    expect(dashboard.section("needs").locator("[data-id='5']")).to_have_count(0)
    (given,) = site.hive.called("answer")
    assert (given.question, given.choices) == (5, ("Use the old compiler",))
    page.keyboard.press("j")
    expect(queue(dashboard).first.locator(":focus")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("1")  # an approval has no options: nothing is decided
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/approvals/7")
    assert len(site.hive.called("answer")) == 1
    assert not site.hive.called("approve")


def test_several_options_are_ticked_with_numbers_and_sent_together(
    site: Site, logged_in: Dashboard
) -> None:
    site.hive.questions = [data.question(4, multi=True, expires_at=data.NOW + 240)]
    dashboard = logged_in.overview().live()
    page = dashboard.page
    asked = dashboard.section("needs").get_by_test_id("question")
    expect(asked.get_by_role("checkbox")).to_have_count(2)
    asked.get_by_role("link").first.focus()
    page.keyboard.press("1")
    page.keyboard.press("2")
    expect(asked.get_by_role("checkbox", checked=True)).to_have_count(2)
    asked.get_by_label("Or in your own words").fill("12")  # typed, not obeyed
    asked.get_by_role("button", name="Answer").click()
    expect(asked).to_have_count(0)
    (given,) = site.hive.called("answer")
    assert given.choices == ("Wait for the update", "Use the old compiler")
    assert given.text == "12"


def test_a_long_queue_is_folded_and_stays_open(
    site: Site, logged_in: Dashboard
) -> None:
    site.hive.questions = [
        data.question(number, asked_at=data.NOW - 500 + number)
        for number in range(1, 21)
    ]
    section = logged_in.overview().live().section("needs")
    last = section.locator("[data-testid=question][data-id='20']")
    expect(section.get_by_text("more", exact=False).last).to_be_visible()
    expect(last).to_be_hidden()
    section.get_by_text("Show", exact=False).last.click()
    last.get_by_role("button", name="Wait for the update").click()
    expect(last).to_have_count(0)
    other = section.locator("[data-testid=question][data-id='19']")
    expect(other).to_be_visible()  # it is still unfolded


def test_no_click_is_lost_or_goes_astray_while_news_come_in(
    site: Site, dashboard: Dashboard
) -> None:
    """Each answer is that of the question aimed at, though news would push it down."""
    page, hive = dashboard.page, site.hive
    hive.approvals, hive.inbox, hive.agents = {}, [], hive.agents[:1]
    hive.questions = [
        data.question(number, asked_at=data.NOW - number) for number in range(20, 24)
    ]
    hive.emit("question.asked", "carol")
    section = dashboard.section("needs")
    asked = section.get_by_test_id("question")
    expect(asked).to_have_count(4)
    section.evaluate("(one) => { one.dataset.steady = 1e9; }")  # it waits for the click
    wanted = []
    for number in range(101, 105):
        row = asked.last
        wanted.append(int(row.get_attribute("data-id") or 0))
        button = row.get_by_role("button", name="Use the old compiler")
        button.hover()
        before = button.bounding_box()
        with page.expect_response(re.compile("/fragments/(needs|together)")) as answer:
            hive.questions.append(data.question(number, asked_at=data.NOW - 9000))
            for _ in range(50):
                seen = hive.emit("question.asked", "carol")
        answer.value.finished()
        expect(page.locator("body")).to_have_attribute("data-seen", str(seen))
        assert button.bounding_box() == before
        page.mouse.down()
        hive.emit("question.asked", "carol")
        page.mouse.up()
        expect(section.locator(f"[data-id='{wanted[-1]}']")).to_have_count(0)
        expect(section.locator(f"[data-id='{number}']")).to_be_visible()
    assert [one.question for one in hive.called("answer")] == wanted


def test_a_moving_mouse_holds_the_queue_and_a_resting_one_does_not(
    site: Site, dashboard: Dashboard
) -> None:
    page = dashboard.page
    asked = dashboard.section("needs").get_by_test_id("question")
    asked.hover()
    site.hive.questions.append(data.question(5, asker="alice"))
    site.hive.emit("question.asked", "alice")
    expect(asked).to_have_count(2)  # once it rests
    page.keyboard.press("Tab")
    site.hive.questions.pop()
    site.hive.emit("question.answered", "alice", question=5)
    expect(asked).to_have_count(1)


def test_the_queue_works_without_javascript(
    site: Site, plain_dashboard: Dashboard
) -> None:
    page = plain_dashboard.page
    filled(site)
    plain_dashboard.overview()
    section = plain_dashboard.section("needs")
    expect(section.locator("kbd").first).to_be_hidden()  # no keys without scripts
    section.get_by_role("button", name="Use the old compiler").first.click()
    expect(plain_dashboard.flash()).to_contain_text("Question 5 answered")
    section.get_by_text("Answer in your own words").click()
    section.get_by_label("Or in your own words").fill("Ask alice.")
    section.get_by_role("button", name="Answer carol").click()
    expect(plain_dashboard.flash()).to_contain_text("Question 4 answered")
    section.get_by_role("button", name="Restart bob").click()
    expect(plain_dashboard.flash()).to_contain_text("Restarting bob")
    first = section.locator("[data-testid=unread][data-id='30']")
    first.get_by_role("button", name="Mark read").click()
    expect(plain_dashboard.flash()).to_contain_text("marked as read")
    expect(queue(plain_dashboard)).to_have_count(4)
    section.get_by_role("link", name="Review").click()
    page.wait_for_url(f"{site.url}/approvals/7")
    assert [one.text for one in site.hive.called("answer")] == ["", "Ask alice."]


def test_options_are_only_ever_text(site: Site, dashboard: Dashboard) -> None:
    site.hive.questions = [
        data.question(4, options=(NASTY, "b" * 512), question=NASTY),
        data.question(5, options=(NASTY,), multi=True),
    ]
    site.hive.emit("question.asked", "carol")
    section = dashboard.section("needs")
    button = section.get_by_test_id("question").first.locator(".picks button")
    expect(button).to_have_count(2)
    expect(button.first).to_contain_text("<script>alert(1)</script>")
    assert section.locator("script, img, nasty, iframe").count() == 0
    dashboard.page.set_viewport_size({"width": 390, "height": 844})
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 390
    button.first.click()
    expect(section.get_by_test_id("question")).to_have_count(1)
    (given,) = site.hive.called("answer")
    assert given.choices == (NASTY,)
