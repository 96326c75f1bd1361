"""The real process under peers that are slow, malformed or too many."""

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Page, hive_web
from checks.kits.web.process import Running
from pyglue.limits import DASHBOARD_HTTP
from pyglue.web.guard import request_head as heads
from pyglue.web.guard.auth import csrf_token

SLOW: Final = 300

FLOOD: Final = DASHBOARD_HTTP.connections + 200


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home, port = tmp_path_factory.mktemp("web"), free_port()
    with (
        fake_hive.running(home / "operator.sock", port=port) as hive,
        hive_web(home, port),
    ):
        running = Running(hive, port)
        assert running.get().status == 200  # its worker is up
        yield running


HALVES: Final = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a head": b"GET / HTTP/1.1\r\nHost: a\r\nX-",
    "half a body": (
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\ncode="
    ),
    "half a large body": (
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nx"
    ),
}


@contextlib.contextmanager
def held(web: Running, count: int, start: bytes) -> Iterator[list[socket.socket]]:
    """Hold ``count`` connections that begin so."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            one = stack.enter_context(web.connect())
            with contextlib.suppress(ConnectionError):
                one.sendall(start)
            opened.append(one)
        yield opened


@pytest.mark.parametrize("start", HALVES.values(), ids=HALVES)
def test_slow_peers_take_the_dashboard_from_nobody(web: Running, start: bytes) -> None:
    ws = Page(
        f"{web.hive.origin.replace('http:', 'ws:')}/live",
        headers={"Origin": web.hive.origin, "Cookie": web.cookie()},
    )
    with contextlib.closing(ws):
        assert any(served_in_time(web, ws, start) for _ in range(5))


def served_in_time(web: Running, ws: Page, start: bytes) -> bool:
    """Use the dashboard beside slow peers; false if it took as long as they may.

    Then it may have waited for a thread that one of them had.
    """
    began = time.monotonic()
    with held(web, SLOW, start):
        for path in ("/",) * 5 + ("/login",):
            assert web.get(path).status == 200
        seq = web.hive.emit("agent.state", "alice", state="idle")
        while ws.until("event")["seq"] != seq:
            pass  # a stream goes on
        return time.monotonic() - began < DASHBOARD_HTTP.head_s


@pytest.mark.parametrize("start", [b"", HALVES["half a large body"]])
def test_more_peers_than_there_is_room_for_take_it_from_nobody(
    web: Running, start: bytes
) -> None:
    with held(web, FLOOD, start) as opened:
        assert web.get().status == 200
        gone = 0
        for one in opened[:100]:
            one.settimeout(15)
            with contextlib.suppress(ConnectionError):
                assert one.recv(1) == b""
            gone += 1
        assert gone == 100, "the oldest made room"


def test_a_request_that_does_not_come_in_time_is_told_so(web: Running) -> None:
    began = time.monotonic()
    answer = web.raw(HALVES["half a head"])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began >= DASHBOARD_HTTP.head_s - 1


def test_who_does_not_read_answers_holds_no_thread(web: Running) -> None:
    """More than there are threads ask for the largest file and read none of it."""
    ask = (
        f"GET /static/vendor/xterm.mjs HTTP/1.1\r\nHost: {web.host}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            one = stack.enter_context(contextlib.closing(socket.socket()))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.connect(("127.0.0.1", web.port))
            one.sendall(ask)
        for _ in range(3):  # each before any of them is given up
            assert web.get(timeout=0.75 * DASHBOARD_HTTP.unread_s).status == 200


POST = "POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"

MALFORMED: Final = {
    "bad chunk size": POST
    + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
    "negative chunk": POST + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "huge chunk size": POST + "Transfer-Encoding: chunked\r\n\r\n" + "f" * 9000,
    "no end of chunk": POST + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
    "good chunks": POST + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "both lengths": POST + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    "another coding": POST + "Transfer-Encoding: gzip\r\n\r\nabc",
    "two lengths": POST + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "no length": POST + "Content-Length: three\r\n\r\nabc",
    "signed length": POST + "Content-Length: +3\r\n\r\nabc",
    "two hosts": "GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n",
    "bare line feed": "GET / HTTP/1.1\r\nHost: {host}\nX: y\r\n\r\n",
    "folded line": "GET / HTTP/1.1\r\nHost: {host}\r\nX: y\r\n z\r\n\r\n",
    "space before colon": "GET / HTTP/1.1\r\nHost : {host}\r\n\r\n",
    "forged caller": "GET / HTTP/1.1\r\nHost: {host}\r\nX-Hive-Peer: 1.2.3.4\r\n\r\n",
    "another protocol": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no protocol": "GET /\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_refused_without_a_traceback(
    web: Running, request_: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = web.raw(request_.format(host=web.host).encode())
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:100]
    assert answer.count(b"HTTP/1.1 ") == 1, "nothing else was taken for a request"
    assert b"Traceback" not in answer
    assert web.get().status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_what_is_too_large_is_refused_at_once(web: Running) -> None:
    head = f"POST /login HTTP/1.1\r\nHost: {web.host}\r\nContent-Length: {{}}\r\n\r\n"
    size = DASHBOARD_HTTP.body_bytes + 1
    assert web.raw(head.format(size).encode()).startswith(b"HTTP/1.1 413 ")
    long = b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000
    assert web.raw(long).startswith(b"HTTP/1.1 431 ")


LIMITS: Final = DASHBOARD_HTTP

REFUSED: Final = {
    "line": ("GET /" + "x" * LIMITS.line_bytes + " HTTP/1.1\r\nHost: {host}", 414),
    "endless line": ("GET /" + "x" * LIMITS.head_bytes, 414),
    "headers": ("GET / HTTP/1.1\r\nHost: {host}" + "\r\nX: y" * LIMITS.fields, 431),
    "header": ("GET / HTTP/1.1\r\nX: " + "y" * LIMITS.field_bytes, 431),
    "gunicorn's own": ("GO / HTTP/1.1\r\nHost: {host}", 400),
    "malformed": ("GET / HTTP/1.1\r\nHost : {host}", 400),
    "body": (POST + f"Content-Length: {LIMITS.body_bytes + 1}", 413),
    "foreign host": ("GET /api/status HTTP/1.1\r\nHost: evil.example", 400),
}


@pytest.mark.parametrize(("request_", "status"), REFUSED.values(), ids=REFUSED)
def test_every_refusal_is_a_problem(web: Running, request_: str, status: int) -> None:
    """Whoever refuses: the listener, gunicorn or the app."""
    head, _, body = web.raw(
        f"{request_.format(host=web.host)}\r\nConnection: close\r\n\r\n".encode()
    ).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    told = json.loads(body)
    assert told["status"] == status and told["detail"] and told["title"]


def test_the_longest_request_line_and_headers_are_taken(web: Running) -> None:
    line = f"GET /{'x' * (LIMITS.line_bytes - 14)} HTTP/1.1"
    assert len(line) == LIMITS.line_bytes
    long = f"X: {'y' * (LIMITS.field_bytes - 3)}"
    rest = "\r\nX: y" * (LIMITS.fields - 3)
    sent = f"{line}\r\nHost: {web.host}\r\nConnection: close\r\n{long}{rest}\r\n\r\n"
    assert web.raw(sent.encode()).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("verb", ["TRACE", "FOO", "DELETE", "POST"])
@pytest.mark.parametrize("path", ["/api/status", "/live", "/agents/alice", "/metrics"])
def test_every_405_says_what_is_allowed(web: Running, path: str, verb: str) -> None:
    session = web.hive.new_session()
    answer = web.raw(
        f"{verb} {path} HTTP/1.1\r\nHost: {web.host}\r\nOrigin: {web.hive.origin}\r\n"
        f"X-CSRF-Token: {csrf_token(session, web.hive.origin)}\r\n"
        f"Accept: application/json\r\nConnection: close\r\n"
        f"Cookie: hive_{web.port}={session}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 405 "), answer[:300]
    assert b"\r\nAllow: " in answer
    assert b"\r\nContent-Type: application/problem+json\r\n" in answer


def test_a_body_in_small_pieces_and_on_demand_arrives(web: Running) -> None:
    body = f"code={web.hive.new_code()}&pad=".encode() + b"x" * 300_000
    with web.connect() as there:
        there.sendall(
            f"POST /login HTTP/1.1\r\nHost: {web.host}\r\n"
            f"Origin: {web.hive.origin}\r\nExpect: 100-continue\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        assert there.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for at in range(0, len(body), 50_000):
            there.sendall(body[at : at + 50_000])
        assert there.recv(4096).startswith(b"HTTP/1.1 303 ")


def test_a_connection_is_kept_for_more_requests(web: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        for path in ("/login", "/static/hive.css", "/login"):
            connection.request("GET", path, headers={"Host": web.host})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
        first = connection.sock
        connection.request("GET", "/login", headers={"Host": web.host})
        assert connection.getresponse().status == 200
        assert connection.sock is first


def test_requests_that_come_together_are_answered_in_order(web: Running) -> None:
    one = f"GET {{}} HTTP/1.1\r\nHost: {web.host}\r\n{{}}\r\n"
    sent = one.format("/login", "") + one.format("/nothing", "Connection: close\r\n")
    answer = web.raw(sent.encode())
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"401"]


def test_a_refused_websocket_is_no_way_around_the_deadlines(web: Running) -> None:
    """After the refusal nothing is passed on byte by byte."""
    ask = (
        f"GET /live HTTP/1.1\r\nHost: {web.host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    with held(web, SLOW, ask + b"GET / HT"):
        assert web.get().status == 200
    answer = web.raw(ask + ask)
    assert answer.count(b"HTTP/1.1 ") == 1 and b" 401 " in answer[:20]


def test_a_script_that_leaves_frees_its_stream_at_the_next_event(web: Running) -> None:
    answer = web.get("/api/events")
    while b'"up"' not in answer.readline():
        pass
    (connection,) = web.hive.subscribers
    gone = threading.Event()
    connection.on_close(gone.set)
    answer.close()
    deadline = time.monotonic() + 30
    while not gone.wait(0.1) and time.monotonic() < deadline:
        web.hive.emit("agent.state", "alice", state="idle")
    assert gone.is_set()


def test_a_dashboard_under_load_keeps_its_temporary_directory_private(
    web: Running,
) -> None:
    found = [one for one in Path("/tmp").glob("hive-web-*") if one.is_dir()]
    assert found
    assert all(one.stat().st_mode & 0o777 == 0o700 for one in found)


@pytest.mark.parametrize(
    "name", ["Content_Length", "X_Hive_Peer", "Host_", "Transfer_Encoding"]
)
def test_names_with_an_underscore_are_left_out(name: str) -> None:
    received = f"GET / HTTP/1.1\r\nHost: a\r\n{name}: 5\r\n\r\n".encode()
    head = heads.read(received, "192.0.2.1", DASHBOARD_HTTP)
    assert head.length == 0 and name.encode() not in head.text
    assert b"\r\nX-Hive-Peer: 192.0.2.1\r\n" in head.text
