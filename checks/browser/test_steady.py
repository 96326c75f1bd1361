"""Live pages under load and across a restart: nothing is lost, nothing grows."""

import contextlib
import http.client
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from simple_websocket import ConnectionClosed

from checks.browser.conftest import Site
from checks.browser.pages import Dashboard
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import children
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Page as Socket
from checks.kits.web.app import hive_web
from checks.kits.web.hive import NAME, FakeHive
from pyglue.config import origin

TABS = 20
EVENTS = 600
RATE_HZ = 100
GROWTH_MIB = 40
"""What a full ring (8 MiB; 12 MiB are sent), threads and buffers may take."""


def test_a_restart_is_said_and_no_event_is_missed(
    site: Site, dashboard: Dashboard
) -> None:
    page, hive = dashboard.page, site.hive
    page.evaluate(
        "() => { window.seen = []; document.addEventListener('hive:event',"
        " (event) => window.seen.push(event.detail.seq)); }"
    )
    first = hive.emit("operation.changed", "alice", id=1)
    page.wait_for_function("(seq) => window.seen.includes(seq)", arg=first)
    hive.stop()
    link = page.get_by_test_id("link")
    expect(link).to_have_attribute("data-state", "lost")
    for number in range(50):  # while nobody listens
        hive.emit("operation.changed", "alice", id=number)
    hive.start()
    expect(link).to_have_attribute("data-state", "live")
    last = hive.emit("operation.changed", "alice", id=99)
    page.wait_for_function("(seq) => window.seen.includes(seq)", arg=last)
    assert page.evaluate("() => window.seen") == list(range(first, last + 1))


def site_of(port: int) -> str:
    """Return the address of the dashboard on a port."""
    return origin.named(NAME, port)


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.contextmanager
def _tab(
    port: int, session: str, seen: dict[int, list[int]], number: int
) -> Iterator[None]:
    """Listen as a page does; what it sees is noted."""
    cookie = f"hive_{port}={session}"
    site = site_of(port)
    url = f"{site}/live?since=0&turns=all".replace("http:", "ws:")
    client = Socket(url, headers={"Cookie": cookie, "Origin": site})

    def read() -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = json.loads(client.receive())
                if message["type"] in ("event", "gap"):
                    seen[number].append(message["seq"])

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(ConnectionClosed):
            client.close()
        thread.join(PATIENCE_S)


@contextlib.contextmanager
def _stuck(port: int, session: str) -> Iterator[None]:
    """Open a stream and never read from it: its buffers fill, and nobody waits."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", port))
        raw.sendall(
            f"GET /live?since=0&turns=all HTTP/1.1\r\n"
            f"Host: {site_of(port).removeprefix('http://')}\r\n"
            f"Origin: {site_of(port)}\r\nCookie: hive_{port}={session}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert raw.recv(12) == b"HTTP/1.1 101"
        yield


def _worker(pid: int) -> int:
    return children(pid)[0]


@pytest.fixture(scope="module")
def own(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[FakeHive, int, int]]:
    """A fake hive, its hive-web's port, and the process id of the worker."""
    runtime, port = tmp_path_factory.mktemp("steady"), free_port()
    with (
        fake_hive.running(runtime / "operator.sock", port=port) as hive,
        hive_web(runtime, port) as process,
    ):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/login"):
            pass  # gunicorn listens before its worker is there
        yield hive, port, _worker(process.pid)


def test_twenty_tabs_a_hundred_events_a_second(
    own: tuple[FakeHive, int, int], page: Page
) -> None:
    hive, port, worker = own
    session, site = hive.new_session(), hive.origin
    seen: dict[int, list[int]] = {number: [] for number in range(TABS)}
    shown = Dashboard(page, site).with_session(session).overview().live()
    with contextlib.ExitStack() as tabs:
        for number in range(TABS):
            tabs.enter_context(_tab(port, session, seen, number))
        tabs.enter_context(_stuck(port, session))
        first = hive.emit(
            "turn.event", "alice", turn=1, kind="text", data={"text": "a"}
        )
        _until(lambda: all(first in one for one in seen.values()))
        before = _memory_mib(worker)
        text = "x" * 20_000
        last, began = first, time.monotonic()
        for number in range(EVENTS):
            kind = "agent.state" if number % 50 == 0 else "turn.event"
            data = {"turn": 1, "kind": "text", "data": {"text": text}}
            last = hive.emit(kind, "alice", **data)
            time.sleep(max(0.0, began + number / RATE_HZ - time.monotonic()))
            if number == EVENTS // 2:
                assert _plain(port, session) == 200
        _until(lambda: all(last in one for one in seen.values()))
        grown = _memory_mib(worker) - before
        assert grown < GROWTH_MIB
        body = page.locator("body")
        state = hive.emit("agent.state", "alice", state="idle")
        expect(body).to_have_attribute("data-seen", str(state))
        expect(shown.agent("alice")).to_be_visible()
    for one in seen.values():
        assert one[one.index(first) : one.index(last) + 1] == list(
            range(first, last + 1)
        )


def _until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def _plain(port: int, session: str) -> int:
    asked = http.client.HTTPConnection(f"{NAME}.localhost", port, timeout=PATIENCE_S)
    with contextlib.closing(asked):
        asked.request("GET", "/", headers={"Cookie": f"hive_{port}={session}"})
        return asked.getresponse().status
