"""Other programs on this machine get nothing of the operator's session.

Cookies know no ports, so a program at another port of the dashboard's name would be
sent the session. A real browser is led there in every way that a page has, and a
program that passes on what it is sent stands before the real dashboard.
"""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from checks.browser.conftest import Profile, Site
from checks.browser.pages import Dashboard
from checks.kits.net.ports import free_port
from checks.kits.web.hive import NAME

_FAMILIES: Final = (
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET6, "::1"),
)


class _Listening(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    heads: list[str]
    page: str
    target: int | None


class _Listening6(_Listening):
    address_family = socket.AF_INET6


_OTHER: Final = "<!doctype html><form id=form method=post action=/form></form>"


class _Hostile(socketserver.BaseRequestHandler):
    """Notes what comes; tosses cookies. Only its first page asks for more."""

    server: _Listening

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.request.recv(65536)
            if not more:
                return
            head += more
        self.server.heads.append(head.decode("latin-1"))
        first = head.startswith(b"GET / ")
        body = (self.server.page if first else _OTHER).encode()
        answer = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
            "Set-Cookie: tossed=1; Domain=localhost\r\n"
            f"Set-Cookie: tossed=2; Domain={NAME}.localhost\r\n"
            f"Set-Cookie: hive_{self.server.target}=tossed-by-a-neighbour; Path=/\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.request.sendall(answer.encode() + body)


class _Passing(socketserver.BaseRequestHandler):
    """Passes every byte on to the dashboard, and back."""

    server: _Listening

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.target or 0)) as there:
            back = threading.Thread(target=self._copy, args=(there, self.request))
            back.start()
            self._copy(self.request, there, note=True)
            back.join()

    def _copy(
        self, source: socket.socket, sink: socket.socket, *, note: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if note:
                    self.server.heads.append(data.decode("latin-1"))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def tab(profile: Profile) -> Iterator[Page]:
    """A tab of its own; hostile pages may fail in it as they like."""
    yield profile.context.new_page()
    profile.empty()


@pytest.fixture
def window(windows: Browser) -> Iterator[Page]:
    """One of a browser that asks for a page's icon too, and that runs the worker."""
    with contextlib.closing(windows.new_context()) as context:
        yield context.new_page()


@dataclass
class Neighbour:
    """A program at a port of its own, on both addresses of loopback."""

    port: int
    heads: list[str] = field(default_factory=list)

    def asked(self) -> set[str]:
        """Return the paths that came."""
        return {head.split(" ")[1] for head in self.heads if " " in head}


@contextlib.contextmanager
def neighbour(
    handler: type[socketserver.BaseRequestHandler], site: Site, page: str = ""
) -> Iterator[Neighbour]:
    """Listen for the time of the block."""
    found = Neighbour(free_port())
    with contextlib.ExitStack() as stack:
        for family, address in _FAMILIES:
            kind = _Listening6 if family is socket.AF_INET6 else _Listening
            server = stack.enter_context(kind((address, found.port), handler))
            server.heads, server.target = found.heads, urlsplit(site.url).port
            server.page = page.replace("PORT", str(found.port))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield found


EVERYTHING: Final = """
<!doctype html><title>here</title><link rel=icon href=/icon>
<link rel=stylesheet href=/sheet><script src=/script></script>
<img src=/image><img src="http://localhost:PORT/other-name"><iframe src=/frame></iframe>
<a id=again href=/again>again</a><form id=form method=post action=/form></form>
<script>
fetch("/fetch", { credentials: "include" });
fetch("http://localhost:PORT/cross", { credentials: "include", mode: "no-cors" });
new WebSocket("ws://127.0.0.1:PORT/socket");
</script>"""

NAMES: Final = ("127.0.0.1", "localhost", "[::1]", "neighbour.localhost")


def test_a_listener_at_another_port_never_sees_the_session(
    site: Site, window: Page
) -> None:
    dashboard = Dashboard(window, site.url).log_in(site.link()).live()
    (session,) = site.hive.sessions
    for name in NAMES:
        with neighbour(_Hostile, site, EVERYTHING) as hostile:
            _led_there(window, f"http://{name}:{hostile.port}", hostile)
            sent = "".join(hostile.heads)
            assert session not in sent and NAME not in sent, name
    dashboard.overview().live()  # and what they tossed takes nothing away
    cookies = window.context.cookies(site.url)
    ours = [one for one in cookies if "hive" in one.get("name", "")]
    assert [one.get("value") for one in ours] == [session]


def _led_there(window: Page, there: str, hostile: Neighbour) -> None:
    """Be led there in every way that a page has."""
    window.goto("data:text/html," + quote(f"<script>location='{there}/'</script>"))
    window.wait_for_url(f"{there}/")
    window.wait_for_load_state("networkidle")
    window.click("#again")
    window.wait_for_url(f"{there}/again")
    window.reload()
    window.evaluate("document.getElementById('form').submit()")
    window.wait_for_url(f"{there}/form")
    window.go_back()
    wanted = {"/", "/icon", "/sheet", "/script", "/image", "/fetch", "/again"}
    assert wanted | {"/frame", "/form", "/socket"} <= hostile.asked(), there


def test_the_name_is_told_to_no_other_site(site: Site, tab: Page) -> None:
    """A page of another site that the dashboard leads to learns no address of it."""
    dashboard = Dashboard(tab, site.url).with_session(site.hive.new_session())
    dashboard.overview().live()
    with neighbour(_Hostile, site, "<!doctype html><title>x</title>") as hostile:
        there = f"http://127.0.0.1:{hostile.port}/"
        tab.evaluate(
            """there => { const a = document.createElement("a");
            a.href = there; document.body.append(a); a.click(); }""",
            there,
        )
        tab.wait_for_url(there)
        assert hostile.heads and NAME not in "".join(hostile.heads)


@pytest.mark.parametrize("name", [f"{NAME}.localhost", "127.0.0.1", "localhost"])
def test_a_program_that_passes_on_every_byte_makes_no_session(
    site: Site, tab: Page, name: str
) -> None:
    code = site.hive.new_code()
    with neighbour(_Passing, site) as between:
        there = f"http://{name}:{between.port}"
        tab.goto(f"{there}/login?code={code}")
        expect(tab.locator("form")).to_have_count(0)
        answer = tab.evaluate(
            """async code => (await fetch("/login", { method: "POST",
            body: new URLSearchParams({ code }) })).status""",
            code,
        )
        assert answer in (400, 401)
        assert code in site.hive.codes and not site.hive.sessions
        assert tab.context.cookies() == []


def test_a_session_is_no_session_through_such_a_program(site: Site, tab: Page) -> None:
    """Even led to our own name at its port, and sent the cookie, it gets no page."""
    Dashboard(tab, site.url).with_session(site.hive.new_session())
    with neighbour(_Passing, site) as between:
        there = f"http://{NAME}.localhost:{between.port}"
        for path in ("/", "/api/status", "/agents/alice"):
            answer = tab.goto(f"{there}{path}")
            assert answer is not None and answer.status == 400
        state = tab.evaluate(
            """() => new Promise(done => {
            const socket = new WebSocket(`ws://${location.host}/live`);
            socket.onopen = () => done("open"); socket.onerror = () => done("no"); })"""
        )
        assert state == "no"


def test_a_hostile_page_can_neither_post_nor_read_nor_frame(
    site: Site, tab: Page
) -> None:
    dashboard = Dashboard(tab, site.url).log_in(site.link()).live()
    (session,) = site.hive.sessions
    attack = f"""<!doctype html><title>attack</title>
    <form id=form method=post action="{site.url}/send">
    <input name=to value=alice><input name=body value=x></form>
    <iframe src="{site.url}/"></iframe><img src="{site.url}/static/favicon.svg">"""
    with neighbour(_Hostile, site, attack) as hostile:
        tab.goto(f"http://127.0.0.1:{hostile.port}/")
        tab.wait_for_load_state("networkidle")
        with pytest.raises(Error):
            tab.evaluate(
                "there => fetch(there, { credentials: 'include' })", f"{site.url}/"
            )
        state = tab.evaluate(
            """there => new Promise(done => { const it = new WebSocket(there);
            it.onopen = () => done("open"); it.onerror = () => done("no"); })""",
            site.url.replace("http:", "ws:") + "/live",
        )
        assert state == "no"
        framed = tab.frames[1]
        assert not framed.url.startswith("http") or framed.query_selector("nav") is None
        tab.evaluate("document.getElementById('form').submit()")
        tab.wait_for_url(f"{site.url}/send")
        expect(tab.get_by_test_id("error")).to_have_attribute("data-code", "forbidden")
    assert not site.hive.called("send")
    assert session in site.hive.sessions
    dashboard.overview().live()


def test_another_name_that_leads_here_gets_no_page(site: Site, tab: Page) -> None:
    """As by DNS rebinding: the browser believes that this is somebody else's site."""
    port = urlsplit(site.url).port
    for name, status in (("rebound.localhost", 400), ("127.0.0.1", 401)):
        answer = tab.goto(f"http://{name}:{port}/")
        assert answer is not None and answer.status == status
        assert NAME not in tab.content()
        assert "set-cookie" not in answer.headers
        assert tab.evaluate("fetch('/api/status').then(it => it.status)") == status
        assert tab.locator("form").count() == 0


@pytest.mark.parametrize("scripts", [True, False])
def test_a_name_that_programs_share_says_how_to_log_in(
    site: Site, tab: Page, plain_page: Page, scripts: bool
) -> None:
    shown = tab if scripts else plain_page
    port = urlsplit(site.url).port
    shown.goto(f"http://127.0.0.1:{port}/login?code={site.hive.new_code()}")
    expect(shown.get_by_test_id("elsewhere")).to_contain_text("hive login")
    expect(shown.locator("form")).to_have_count(0)
    expect(shown.locator("body")).not_to_contain_text(NAME)
