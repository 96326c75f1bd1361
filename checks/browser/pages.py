"""Page objects: a test's actions on the dashboard, by roles and test IDs.

They know the markup so that tests don't; they work on a real hive as on a fake one.
"""

from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect


class Dashboard:
    """One operator's browser page on one dashboard."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url.rstrip("/")

    def log_in(self, link: str, *, scripts: bool = True) -> "Dashboard":
        """Open the link that ``hive login`` printed.

        Without ``scripts`` (JavaScript switched off) the button is clicked.
        """
        self.page.goto(link)
        if not scripts:
            self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_test_id("agents")).to_be_visible()
        return self

    def with_session(self, token: str) -> "Dashboard":
        """Put the cookie into the browser that logging in would; open no page."""
        cookie = f"hive_{urlsplit(self.url).port}"
        self.page.context.add_cookies(
            [
                {
                    "name": cookie,
                    "value": token,
                    "url": self.url,
                    "httpOnly": True,
                    "sameSite": "Strict",
                }
            ]
        )
        return self

    def overview(self) -> "Dashboard":
        """Open the overview."""
        self.page.goto(f"{self.url}/")
        return self

    def live(self) -> "Dashboard":
        """Wait until the page receives events."""
        expect(self.page.get_by_test_id("link")).to_have_attribute("data-state", "live")
        return self

    def section(
        self,
        name: Literal["today", "needs", "agents", "inbox", "send", "messages"],
    ) -> Locator:
        """Return a section of the overview."""
        return self.page.get_by_test_id(name)

    def agent(self, name: str) -> Locator:
        """Return an agent's row."""
        return self.page.locator(f'[data-testid=agent][data-agent="{name}"]')

    def agent_state(self, name: str) -> Locator:
        """Return an agent's state badge."""
        return self.agent(name).get_by_test_id("state")

    def open_agent(self, name: str) -> "Dashboard":
        """Open an agent's page."""
        self.page.goto(f"{self.url}/agents/{name}")
        return self

    def waiting(self) -> Locator:
        """Return the approvals on the overview that wait."""
        return self.section("needs").get_by_test_id("approval")

    def send(self, to: str, body: str) -> None:
        """Write to an agent from the overview."""
        form = self.section("send")
        form.get_by_label("To", exact=True).select_option(to)
        form.get_by_label("Message").fill(body)
        form.get_by_role("button", name="Send").click()
        expect(self.flash()).to_be_visible()

    def flash(self) -> Locator:
        """Return the newest message after a form."""
        return self.page.get_by_test_id("flash").last

    def approval(self, number: int, query: str = "") -> "Approval":
        """Open the page of an approval."""
        self.page.goto(f"{self.url}/approvals/{number}{query}")
        return Approval(self.page)


class Approval:
    """The page on which a change is judged."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def state(self) -> Locator:
        """Where the proposal stands; ``data-state`` has the word."""
        return self.page.get_by_test_id("approval-state")

    def expect_state(self, state: str) -> None:
        """Wait until the page says ``state``."""
        expect(self.state).to_have_attribute("data-state", state)

    @property
    def widening(self) -> Locator:
        """The changes that widen power."""
        return self.page.get_by_test_id("policy-widens").get_by_test_id("policy-change")

    def file(self, path: str) -> Locator:
        """Return one file's diff."""
        return self.page.locator(f'[data-testid=file][data-path="{path}"]')

    def base(self, base: Literal["running", "approved", "previous"]) -> None:
        """Choose what to compare with."""
        self.page.get_by_test_id(f"base-{base}").click()

    def view(self, view: Literal["unified", "split"]) -> None:
        """Choose how the diff is drawn."""
        self.page.get_by_test_id(f"view-{view}").click()

    def boxes(self) -> list[Locator]:
        """Return what has to be ticked before approving."""
        form = self.page.get_by_test_id("approve-form")
        return form.get_by_role("checkbox").all()

    def approve(self) -> None:
        """Tick what has to be ticked, and approve."""
        for box in self.boxes():
            box.check()
        self.page.get_by_test_id("approve").click()

    def deny(self, reason: str) -> None:
        """Deny with a reason."""
        self.page.get_by_test_id("deny-open").click()
        form = self.page.get_by_test_id("deny-form")
        form.get_by_role("textbox").fill(reason)
        form.get_by_test_id("deny").click()
