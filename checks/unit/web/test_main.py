"""The real process: gunicorn, WebSockets, and how it starts and stops."""

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from simple_websocket import ConnectionClosed

from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.web import app as web_kit
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Page, hive_web
from checks.kits.web.hive import NAME, FakeHive
from pyglue import config
from pyglue.config import WebConfig
from pyglue.web import main
from pyglue.web.live import sse
from pyglue.web.live.hub import STREAMS_MAX


@dataclass
class Running:
    """A hive-web process before a fake hive."""

    hive: FakeHive
    port: int
    process: subprocess.Popen[bytes]
    home: Path

    @property
    def origin(self) -> str:
        return self.hive.origin

    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"hive_{self.port}={self.hive.new_session()}"}

    def get(self, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE_S
        )
        host = self.origin.removeprefix("http://")
        connection.request("GET", path, headers={"Host": host, **headers})
        return connection.getresponse()

    def live(self, query: str = "", **headers: str) -> Page:
        sent = {"Origin": self.origin, **self.cookie(), **headers}
        place = self.origin.replace("http://", "ws://")
        return Page(f"{place}/live{query}", headers=sent)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home, port = tmp_path_factory.mktemp("web"), free_port()
    with (
        fake_hive.running(home / "operator.sock", port=port) as hive,
        hive_web(home, port) as process,
    ):
        yield Running(hive, port, process, home)


def test_a_page_is_served(web: Running) -> None:
    answer = web.get("/", web.cookie())
    assert answer.status == 200
    assert b"Needs you" in answer.read()


def test_events_come_over_the_websocket(web: Running) -> None:
    ws = web.live()
    ws.until("up")
    seq = web.hive.emit("agent.state", "alice", state="idle")
    event = ws.until("event")
    assert (event["seq"], event["kind"]) == (seq, "agent.state")
    ws.close()


def test_the_websocket_resumes(web: Running) -> None:
    seen = web.hive.seq
    newest = web.hive.emit("message.sent")
    ws = web.live(f"?since={seen}")
    assert ws.until("event")["seq"] == newest
    ws.close()


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize("path", ["/live", "/agents/alice/terminal/ws"])
@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Host": "evil.example"}, 400),
        ({"Host": f"{NAME}.localhost:1", "Origin": f"http://{NAME}.localhost:1"}, 400),
        ({"Host": f"{NAME}.localhost"}, 400),
        ({"Host": "127.0.0.1:{port}", "Origin": "http://127.0.0.1:{port}"}, 401),
        ({"Cookie": ""}, 401),
        ({"Cookie": "hive_{port}=a-session-that-never-lived"}, 401),
    ],
)
def test_a_foreign_websocket_is_refused(
    web: Running, path: str, changed: dict[str, str], status: int
) -> None:
    headers = {"Origin": web.origin, **web.cookie(), **HANDSHAKE, **changed}
    headers = {k: v.replace("{port}", str(web.port)) for k, v in headers.items()}
    answer = web.get(path, headers)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not answer.headers.get("Upgrade")


def test_a_websocket_without_an_origin_is_refused(web: Running) -> None:
    assert web.get("/live", {**web.cookie(), **HANDSHAKE}).status == 403


def test_our_own_websocket_is_accepted(web: Running) -> None:
    headers = {"Origin": web.origin, **web.cookie(), **HANDSHAKE}
    assert web.get("/live", headers).status == 101


def test_a_page_that_leaves_frees_its_stream(web: Running) -> None:
    opened = [web.live() for _ in range(20)]
    for ws in opened:
        ws.until("up")
    (connection,) = web.hive.subscribers
    for ws in opened:
        ws.close()
    # The last stream's end closes the one subscription: no beat is waited for.
    deadline = time.monotonic() + 0.75 * sse.BEAT_S
    while connection in web.hive.subscribers and time.monotonic() < deadline:
        time.sleep(0.02)
    assert connection not in web.hive.subscribers


def test_a_large_message_to_the_websocket_ends_it(web: Running) -> None:
    ws = web.live()
    ws.until("up")
    ws.send("x" * 100_000)
    with pytest.raises(ConnectionClosed):
        while ws.receive(timeout=PATIENCE_S) is not None:
            pass


def test_no_control_socket_is_left_anywhere(web: Running) -> None:
    found = [path for path in web.home.rglob("*") if path.is_socket()]
    assert found == [web.hive.socket]


def test_there_are_more_threads_than_streams() -> None:
    settings = main.settings(7)
    assert settings["threads"] == 256 > STREAMS_MAX
    assert settings["bind"] == ["fd://7"]
    assert settings["workers"] == 1
    assert settings["graceful_timeout"] == 2


def test_sigterm_ends_it_soon_with_streams_open(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    with (
        fake_hive.running(tmp_path / "operator.sock", port=port) as hive,
        hive_web(tmp_path, port) as process,
        socket.create_connection(("127.0.0.1", port)),  # as browsers keep in hand
    ):
        web = Running(hive, port, process, tmp_path)
        ws = web.live()
        ws.until("up")
        events = web.get("/api/events", web.cookie())
        assert events.readline() == b"retry: 1000\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert time.monotonic() - started < 15  # half of gunicorn's own patience
        with pytest.raises(ConnectionClosed):
            while ws.receive(timeout=PATIENCE_S) is not None:
                pass
    assert "ERROR" not in capfd.readouterr().err


ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="x")
os.execv(sys.executable, [sys.executable, "-m", "pyglue.web.main", *sys.argv[2:]])
"""


def test_a_socket_that_systemd_holds_stays_while_hive_web_restarts(
    tmp_path: Path,
) -> None:
    held = socket.create_server(("127.0.0.1", 0))
    port = held.getsockname()[1]
    file = tmp_path / "config.json"
    settings = web_kit.settings(tmp_path, WebConfig(port=port, agent_ports=False))
    file.write_bytes(config.dump(settings))
    command = [sys.executable, "-c", ACTIVATED, str(held.fileno())]
    command += ["--config", str(file)]
    with held, fake_hive.running(tmp_path / "operator.sock", port=port) as hive:
        for _ in range(2):
            with subprocess.Popen(command, pass_fds=[held.fileno()]) as process:
                web = Running(hive, port, process, tmp_path)
                assert web.get("/", web.cookie()).status == 200
                process.terminate()
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port))


@pytest.mark.parametrize("text", [None, "{", '{"state_dir": 1}'])
def test_a_wrong_config_is_a_sentence(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text)
    command = [sys.executable, "-m", "pyglue.web.main", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = "Cannot read the" if text is None else "Invalid"
    assert done.stderr.startswith(f"hive-web: {said} configuration file {file}")
    assert "Traceback" not in done.stderr
