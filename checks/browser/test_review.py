"""The files of an approval: folded, ticked as viewed, navigated by keys."""

from typing import Literal

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.web import data as data
from checks.kits.web.app import show_diff
from pyglue.api.approvals import Danger, Effect, PolicyChange


def _files(page: Page) -> list[Locator]:
    return page.get_by_test_id("file").all()


def _diff(file: Locator) -> Locator:
    return file.get_by_role("region")


def test_a_viewed_file_is_folded_and_stays_so(logged_in: Dashboard) -> None:
    page = logged_in.approval(7).page
    logged_in.live()
    count, files = page.get_by_test_id("viewed-count"), _files(page)
    expect(count).to_have_text(f"0 of {len(files)} viewed")
    expect(_diff(files[0])).to_be_visible()
    files[0].get_by_test_id("viewed").check()
    expect(_diff(files[0])).to_be_hidden()
    expect(count).to_have_text(f"1 of {len(files)} viewed")
    page.reload()
    expect(count).to_have_text(f"1 of {len(files)} viewed")
    expect(_diff(files[0])).to_be_hidden()
    expect(_diff(files[1])).to_be_visible()
    files[0].get_by_test_id("viewed").uncheck()
    expect(_diff(files[0])).to_be_visible()


def test_ticks_are_of_one_commit(site: Site, logged_in: Dashboard) -> None:
    page = logged_in.approval(7).page
    _files(page)[0].get_by_test_id("viewed").check()
    page = logged_in.approval(6).page
    expect(page.get_by_test_id("viewed-count")).to_have_text(
        f"0 of {len(_files(page))} viewed"
    )


def test_a_file_is_folded_and_opened_by_a_link_to_it(logged_in: Dashboard) -> None:
    page = logged_in.approval(7).page
    file = _files(page)[0]
    button = file.get_by_test_id("fold")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(_diff(file)).to_be_hidden()
    page.get_by_test_id("filelist").get_by_role("link").first.click()
    expect(_diff(file)).to_be_visible()


def test_many_files_are_listed_beside_them(site: Site, logged_in: Dashboard) -> None:
    paths = ["agent.nix", *(f"notes/n{number}.md" for number in range(9))]
    files = [data.file_diff(path, "old\n" * 40, "new\n" * 40) for path in paths]
    show_diff(site.hive, *files)
    page = logged_in.page
    page.set_viewport_size({"width": 1280, "height": 700})
    logged_in.approval(7)
    tree = page.get_by_test_id("filelist")
    tree.get_by_role("link", name="notes/n8.md").click()
    expect(_files(page)[9]).to_be_in_viewport()
    expect(tree).to_be_in_viewport()
    _files(page)[9].get_by_test_id("viewed").check()
    viewed = tree.get_by_text("viewed", exact=True).filter(visible=True)
    expect(viewed).to_have_count(1)
    tree.get_by_role("searchbox").fill("N3")
    expect(tree.get_by_role("link")).to_have_text(["n3.md"])
    expect(tree.get_by_text("notes/", exact=True).first).to_be_visible()
    tree.get_by_role("searchbox").fill("agent")
    expect(tree.get_by_role("link")).to_have_text(["agent.nix"])
    tree.get_by_role("searchbox").fill("nowhere")
    expect(tree.get_by_role("status")).to_have_text("No file matches.")
    page.set_viewport_size({"width": 390, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_keys_go_through_the_files(logged_in: Dashboard) -> None:
    page = logged_in.approval(7).page
    logged_in.live()
    files = _files(page)
    page.keyboard.press("n")
    expect(files[0].get_by_test_id("fold")).to_be_focused()
    page.keyboard.press("n")
    expect(files[1].get_by_test_id("fold")).to_be_focused()
    page.keyboard.press("v")
    expect(files[1].get_by_test_id("viewed")).to_be_checked()
    page.keyboard.press("p")
    expect(files[0].get_by_test_id("fold")).to_be_focused()
    page.keyboard.press("d")
    page.keyboard.type("nvp")  # typed, not obeyed
    expect(page.get_by_label("Reason (sent to the manager)")).to_have_value("nvp")
    expect(files[0].get_by_test_id("viewed")).not_to_be_checked()


def test_the_name_of_a_long_file_stays_in_sight(logged_in: Dashboard) -> None:
    page = logged_in.approval(7).page
    page.set_viewport_size({"width": 1280, "height": 400})
    file = _files(page)[0]
    last = file.locator("tr").last
    last.scroll_into_view_if_needed()
    expect(file.locator("h3")).to_be_in_viewport(ratio=1)


def test_what_was_stored_by_others_does_no_harm(logged_in: Dashboard) -> None:
    page = logged_in.page
    page.goto(f"{logged_in.url}/offline")
    for stored in ("no JSON", "7", '{"a": 1}', '[["x"]]'):
        page.evaluate("text => localStorage.setItem('hive-viewed', text)", stored)
        logged_in.approval(7)
        expect(page.get_by_test_id("viewed-count")).to_contain_text("0 of")


def test_without_scripts_every_file_is_open(plain_dashboard: Dashboard) -> None:
    page = plain_dashboard.approval(7).page
    assert all(_diff(file).is_visible() for file in _files(page)[:2])
    assert page.get_by_test_id("viewed").count() == 0


def test_changed_words_are_marked(logged_in: Dashboard) -> None:
    page = logged_in.approval(7).page
    marks = page.locator(".diff .add mark").all_text_contents()
    assert any("sonnet" in text for text in marks)


def test_after_a_decision_enter_opens_the_next(
    site: Site, logged_in: Dashboard
) -> None:
    later = data.summary(9, agent="bob")
    site.hive.approvals = {**site.hive.approvals, 9: data.detail(later)}
    shown = logged_in.approval(7)
    page = shown.page
    logged_in.live()
    expect(page.get_by_test_id("next")).to_have_count(0)
    shown.deny("Not now.")
    step = page.get_by_test_id("next")
    expect(step).to_have_text("Next: approval 9 (1 left)")
    expect(step).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/approvals/9")
    logged_in.approval(9).deny("Nor this.")
    expect(page.get_by_test_id("approval-state")).to_have_attribute(
        "data-state", "denied"
    )
    expect(step).to_have_count(0)


OLD = "".join(f"line {n}\n" for n in range(1, 101))
NEW = OLD.replace("line 40\n", "line 40\nnew\n").replace("line 70\n", "")


def test_more_lines_are_shown_in_place(site: Site, logged_in: Dashboard) -> None:
    show_diff(site.hive, data.file_diff("agent.nix", OLD, NEW))
    page = logged_in.approval(7).page
    logged_in.live()
    (file,) = _files(page)
    file.locator(".no:nth-child(2)").get_by_text("42", exact=True).click()
    page.keyboard.type("Why?")
    more = file.get_by_role("link", name="20 lines below")
    more.first.focus()
    page.keyboard.press("Enter")
    line = page.locator("#line-0-45")
    expect(line).to_be_focused()
    expect(line).to_contain_text("line 45")
    assert page.url == f"{site.url}/approvals/7"
    draft = page.get_by_test_id("draft").get_by_role("textbox")
    expect(draft).to_have_value("Why?")
    page.keyboard.press("c")
    page.keyboard.type("And this.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_test_id("draft")).to_have_count(2)
    file.get_by_role("link", name="all 3 lines").click()
    expect(page.locator("#line-0-45")).to_be_visible()
    expect(file.locator(".hunk")).to_have_count(2)
    expect(page.get_by_test_id("draft")).to_have_count(2)
    page.keyboard.press("v")
    expect(_diff(file)).to_be_hidden()


def test_more_lines_without_scripts(site: Site, plain_dashboard: Dashboard) -> None:
    show_diff(site.hive, data.file_diff("agent.nix", OLD, NEW))
    page = plain_dashboard.approval(7, "?view=split").page
    page.get_by_role("link", name="20 lines above").first.click()
    expect(page.locator("#line-0-18")).to_be_in_viewport()
    expect(page.locator(".split")).to_be_visible()
    page.get_by_role("link", name="all 17 lines").click()
    expect(page.locator("#line-0-1")).to_be_in_viewport()


def _critical(site: Site) -> None:
    changes = [
        PolicyChange(one, Effect.WIDENS, f"May {one}.", None, None, danger=how)
        for one, how in (
            ("use the network", Danger.CRITICAL),
            ("run anything", Danger.CRITICAL),
            ("use opus", Danger.MEDIUM),
        )
    ]
    old = site.hive.approvals[7]
    site.hive.approvals[7] = msgspec.structs.replace(old, policy=tuple(changes))


def test_each_critical_change_is_accepted_by_keys(
    site: Site, logged_in: Dashboard
) -> None:
    _critical(site)
    approval = logged_in.approval(7)
    page = approval.page
    logged_in.live()
    first, second = approval.boxes()
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(first).to_be_focused()  # the browser asks for it
    page.keyboard.press("Space")
    site.hive.emit("approval.changed", "alice", approval=7, state="pending")
    expect(first).to_be_checked()
    page.keyboard.press("Tab")
    expect(second).to_be_focused()
    assert site.hive.called("approve") == []
    page.keyboard.press("Space")
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    approval.expect_state("building")
    (asked,) = site.hive.called("approve")
    assert asked.accepted == (1, 2)


def test_each_critical_change_is_accepted_without_scripts(
    site: Site, plain_dashboard: Dashboard
) -> None:
    _critical(site)
    approval = plain_dashboard.approval(7)
    approval.boxes()[0].check()
    approval.page.get_by_test_id("approve").click()
    assert site.hive.called("approve") == []
    approval.boxes()[1].check()
    approval.page.get_by_test_id("approve").click()
    approval.expect_state("building")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_an_agent_explains_a_change(
    site: Site, logged_in: Dashboard, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = logged_in.approval(7).page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    logged_in.live()
    section = page.get_by_test_id("explain-section")
    expect(section.get_by_label("Agent", exact=True)).to_have_value("manager")
    section.get_by_role("button", name="Explain this change").click()
    expect(logged_in.flash()).to_contain_text("Asked manager to explain approval 7.")
    asked = site.hive.messages[0]
    site.hive.emit("message.sent", "manager", id=asked.id, sender="operator")
    expect(section).to_contain_text("manager was asked.")
    text = "It may **run anything**:\n\n- `Bash`\n- [x](javascript:alert(1))\n"
    number = asked.id + 1
    fields = {"sender": "manager", "recipient": "operator", "reply_to": asked.id}
    site.hive.messages.insert(0, data.message(number, body=text, **fields))
    site.hive.emit("message.sent", "operator", id=number, sender="manager")
    said = section.get_by_test_id("explanation")
    expect(said.locator("strong")).to_have_text("run anything")
    expect(section).to_contain_text("Unverified: written by")
    assert said.get_by_role("link").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    section.get_by_role("link", name="Question and thread").click()
    expect(page.get_by_test_id("drawer")).to_contain_text("Explain approval 7")
    page.keyboard.press("Escape")
    section.scroll_into_view_if_needed()
