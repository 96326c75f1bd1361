"""What takes real agents: the main job as its user sees it, and the terminal.

Nothing is canned but the model's words: the manager commits and submits, the human
approves with the mouse, the agent restarts and answers. Then a real shell in its
sandbox, through every hop.
"""

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from checks.browser.conftest import Hosted, hosting
from checks.browser.kept_page import kept_page
from checks.browser.pages import Dashboard
from checks.kits.patience import PATIENCE_S
from pyglue.api.manager import START, STOP, AgentParams
from pyglue.demo import story

pytestmark = pytest.mark.needs("nix", "git", "bwrap", "chromium")

AGENT = "alice"


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A hive with real agents: it is the harness that serves a terminal."""
    with hosting(tmp_path_factory.mktemp("real")) as running:
        yield running


def test_the_main_job_in_a_browser(hosted: Hosted, page: Page) -> None:
    told = story.load()
    hive = hosted.hive
    dashboard = Dashboard(page, hive.url).log_in(hosted.link()).live()
    expect(dashboard.agent_state("manager")).to_contain_text("idle")
    expect(dashboard.agent_state(told.agent)).to_contain_text("idle")

    dashboard.send(told.asked, told.request)
    expect(dashboard.waiting()).to_have_count(1)
    number = hosted.run(hive.approvals(told.agent))[0].id

    approval = dashboard.approval(number)
    expect(approval.file("agent.nix")).to_contain_text("sonnet")
    expect(approval.widening.first).to_be_visible()
    approval.view("split")
    expect(approval.file("agent.nix")).to_contain_text("haiku")
    approval.approve()
    approval.expect_state("deployed")

    approved = hosted.run(hive.approvals(told.agent))[0]
    running = hosted.run(hive.agent(told.agent))
    assert running.manifest_sha256 == approved.manifest_sha256
    assert approved.decided_by is not None
    assert approved.decided_by.startswith("session ")

    dashboard.overview().live()
    dashboard.send(told.agent, told.question)
    answer = dashboard.section("inbox").get_by_text(approved.manifest_sha256)
    expect(answer.first).to_be_visible()


@pytest.fixture(scope="module")
def opened(hosted: Hosted, browser: Browser) -> Iterator[Page]:
    """A terminal that tests use one after the other, as people do."""
    with kept_page(browser) as page:
        hosted.visitor(page)
        page.goto(f"{hosted.hive.url}/agents/{AGENT}/terminal")
        yield page


@pytest.fixture
def terminal(hosted: Hosted, opened: Page) -> Page:
    hosted.run(hosted.hive.idle(AGENT))
    _connected(opened)
    opened.locator(".xterm-helper-textarea").focus()
    return opened


def _connected(page: Page) -> None:
    expect(page.get_by_test_id("terminal-state")).to_have_attribute(
        "data-state", "open"
    )


def _screen(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait until the terminal shows ``text``."""
    expect(page.locator(".xterm-accessibility-tree")).to_contain_text(text)


def _type(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def _audited(hosted: Hosted, what: str) -> list[dict[str, object]]:
    lines = hosted.hive.local.config.layout.audit_log.read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["what"] == what]


def test_a_shell_as_the_agent_itself(hosted: Hosted, terminal: Page) -> None:
    _type(terminal, "echo sum=$((6*7)) user=$(id -un) in=$PWD")
    _screen(terminal, "sum=42 user=agent in=/state")
    _type(terminal, "test -w /agents || echo no agents here")
    _screen(terminal, "no agents here")
    opened = _audited(hosted, "terminal_opened")[-1]
    assert opened["agent"] == AGENT
    assert str(opened["who"]).startswith("session ")


def test_the_window_s_size_reaches_the_programs(terminal: Page) -> None:
    terminal.set_viewport_size({"width": 700, "height": 700})
    _type(terminal, "sleep 0; echo narrow $(stty size)")
    narrow = re.compile(r"narrow \d+ (\d+)")
    _screen(terminal, narrow)
    shown = terminal.locator(".xterm-accessibility-tree").inner_text()
    found = narrow.search(shown)
    assert found is not None
    assert int(found[1]) < 90
    terminal.set_viewport_size({"width": 1280, "height": 720})


def test_a_large_paste_arrives_whole(terminal: Page) -> None:
    count = "head -c $((2 * 100000)) | tr -d '\\n' | wc -c"
    _type(terminal, f"stty -icanon; echo ready=$((40+2)); {count}")
    _screen(terminal, "ready=42")
    terminal.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text/plain", "x".repeat(200000));
            document.querySelector(".xterm-helper-textarea").dispatchEvent(
              new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }"""
    )
    _screen(terminal, "200000")


def test_a_flood_is_held_back_and_the_page_still_answers(terminal: Page) -> None:
    # More than twice what may be on its way.
    _type(terminal, "seq 1 100000; echo flood=$((40+2))over")
    _screen(terminal, "flood=42over")


def test_a_reload_comes_back_to_the_same_shell(terminal: Page) -> None:
    _type(terminal, "here=$((40+2)); clear")
    terminal.reload()
    _connected(terminal)
    terminal.locator(".xterm-helper-textarea").focus()
    _type(terminal, "echo still=$here")
    _screen(terminal, "still=42")


def test_the_end_of_the_shell_is_said_and_a_new_one_opens(terminal: Page) -> None:
    _type(terminal, "exit 3")
    expect(terminal.get_by_test_id("terminal-state")).to_have_attribute(
        "data-state", "over"
    )
    terminal.get_by_role("button", name="Open a new terminal").click()
    _connected(terminal)


def test_a_key_leaves_the_terminal(terminal: Page) -> None:
    terminal.reload()
    _connected(terminal)
    expect(terminal.locator(".xterm-helper-textarea")).to_be_focused()
    terminal.keyboard.press("Tab")
    expect(terminal.locator(".xterm-helper-textarea")).to_be_focused()
    terminal.keyboard.press("F6")
    expect(terminal.get_by_role("link", name="Back to alice")).to_be_focused()


def test_it_opens_again_when_the_agent_is_back(hosted: Hosted, terminal: Page) -> None:
    state = terminal.get_by_test_id("terminal-state")
    hosted.run(hosted.hive.operator.call(STOP, AgentParams(agent=AGENT)))
    expect(state).to_have_attribute("data-state", "over")
    terminal.get_by_role("button", name="Open a new terminal").click()
    expect(state.locator("code").first).to_have_text(f"hive start {AGENT}")
    expect(state).not_to_contain_text("`")
    hosted.run(hosted.hive.operator.call(START, AgentParams(agent=AGENT)))
    _connected(terminal)
    _type(terminal, "echo back=$((40+2))")
    _screen(terminal, "back=42")


def test_what_a_program_writes_stays_in_the_terminal(terminal: Page) -> None:
    title = terminal.title()
    _type(terminal, r"printf '\e]0;pwned\a<script>document.title=1</script>\n'")
    _screen(terminal, "<script>document.title=1</script>")
    assert terminal.title() == title


def test_hive_shell_is_the_same_terminal(hosted: Hosted) -> None:
    """The command, on a PTY of ours: keys go in, output and the exit come back."""
    master, inside = pty.openpty()
    socket = hosted.hive.local.config.layout.operator_socket
    argv = [sys.executable, "-m", "pyglue.cli.hive", "shell", AGENT]
    process = subprocess.Popen(
        [*argv, "--socket", str(socket)],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        _read_until(master, b"$")
        os.write(master, b"echo from=$((6*7)) in=$PWD\r")
        _read_until(master, b"from=42 in=/state")
        os.write(master, b"exit\r")
        _read_until(master, b"The shell exited")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_hive_shell_without_a_terminal_says_so(hosted: Hosted) -> None:
    socket = hosted.hive.local.config.layout.operator_socket
    done = subprocess.run(
        [sys.executable, "-m", "pyglue.cli.hive", "shell", AGENT, "--socket", socket],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("hive: `hive shell` needs a terminal")


def _read_until(master: int, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        ready, _, _ = select.select([master], [], [], PATIENCE_S)
        assert ready, seen
        try:
            seen += os.read(master, 4096)
        except OSError:
            pytest.fail(f"it ended after {seen!r}")
