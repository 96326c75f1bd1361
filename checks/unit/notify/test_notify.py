"""hive-notify: sends over real HTTP like Apprise, and reports failures."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from checks.kits.patience import PATIENCE_S
from pyglue import config as hive_config
from pyglue import strict_json
from pyglue.api.notify import SendNotification, SentNotification
from pyglue.config import HiveConfig, NotifyConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.notify.main import Places

NOTE: Final = SendNotification(
    title="Approval 3 of alice is pending",
    link="https://hive.example.org/approvals/3",
)


class Service:
    """A service on loopback: keeps what it gets, and fails where it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        self.failing: set[str] = set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = json.loads(self.rfile.read(length))
                service.got.append((self.path, body))
                status = 500 if self.path in service.failing else 200
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    @property
    def urls(self) -> list[str]:
        """An ntfy topic, and an endpoint that takes JSON."""
        here = f"127.0.0.1:{self.port}"
        return [f"ntfy://user:hunter2@{here}/topic", f"json://{here}/hook"]


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_each_place_gets_title_and_link(service: Service) -> None:
    places = Places("# mine\n\n" + "\n".join(service.urls) + "\n")
    assert places.send(NOTE) == SentNotification()
    sent = dict(service.got)
    assert set(sent) == {"/", "/hook"}
    for body in sent.values():
        text = json.dumps(body)
        assert NOTE.title in text and str(NOTE.link) in text
    assert sent["/"]["topic"] == "topic"


def test_what_failed_is_named_by_service_and_sent_again_alone(
    service: Service,
) -> None:
    places = Places("\n".join(service.urls))
    service.failing = {"/hook"}
    sent = places.send(NOTE)
    assert sent.failed == (1,)
    assert sent.problem == "JSON did not accept it"
    service.got.clear()
    service.failing = set()
    again = msgspec.structs.replace(NOTE, only=sent.failed)
    assert places.send(again) == SentNotification()
    assert [path for path, _ in service.got] == ["/hook"]
    far = msgspec.structs.replace(NOTE, only=(7, -1))
    assert places.send(far) == SentNotification()  # the file was changed since


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no URL"),
        ("# nothing\n", "has no URL"),
        ("json://127.0.0.1/\nhunter2", "Line 2 of the file with notification URLs"),
    ],
)
def test_a_file_that_is_none_is_refused_without_a_word_of_it(
    text: str, says: str
) -> None:
    with pytest.raises(HiveError, match=says) as caught:
        Places(text)
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert "hunter2" not in caught.value.message


@contextmanager
def process(room: Path, urls: str) -> Iterator["subprocess.Popen[str]"]:
    file = room / "urls"
    file.write_text(urls)
    settings = HiveConfig(
        state_dir=str(room),
        runtime_dir=str(room),
        notify=NotifyConfig(url_file=str(file)),
    )
    (room / "config.json").write_bytes(hive_config.dump(settings))
    settings.layout.notify_socket.parent.mkdir()
    started = subprocess.Popen(
        [sys.executable, "-m", "pyglue.notify.main", "--config", room / "config.json"],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())},
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        if started.stderr is not None:
            started.stderr.close()


async def ask(path: Path, line: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        while not path.exists():
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        answer = await reader.readline()
        writer.close()
        return answer


async def test_the_process_serves_a_line_at_a_time(
    tmp_path: Path, service: Service
) -> None:
    path = tmp_path / "notify" / "notify.sock"
    with process(tmp_path, "\n".join(service.urls)) as started:
        for nonsense in (b"\n", b"{}\n", b"not json\n", b"x" * 100_000 + b"\n"):
            assert await ask(path, nonsense) == b""
        line = msgspec.json.encode(NOTE) + b"\n"
        answer = strict_json.read(await ask(path, line), SentNotification)
        assert answer == SentNotification()
        assert len(service.got) == 2
        service.failing = {"/", "/hook"}
        answer = strict_json.read(await ask(path, line), SentNotification)
        assert answer.problem == "JSON, ntfy did not accept it"
        started.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(started.wait, PATIENCE_S) == 0
        assert started.stderr is not None
        assert "hunter2" not in started.stderr.read()


def test_the_process_says_why_it_does_not_start(tmp_path: Path) -> None:
    with process(tmp_path, "no url") as started:
        assert started.wait(PATIENCE_S) == 1
        assert started.stderr is not None
        said = started.stderr.read()
        assert said.startswith("hive-notify: Line 1 of the file")
        assert "Traceback" not in said
