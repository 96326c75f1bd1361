"""A hive-web for tests: the app with a test client, and the real process.

Used by the unit tests (with ``hive``), the browser tests and the screenshots.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from simple_websocket import Client
from werkzeug.test import TestResponse

from checks.kits.patience import PATIENCE_S
from checks.kits.web.hive import NAME, FakeHive
from pyglue import config
from pyglue.api.approvals import DiffBase, DiffSet
from pyglue.api.diff import FileDiff
from pyglue.config import HiveConfig, WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.app import create_app
from pyglue.web.guard.auth import csrf_token

HOST: Final = f"{NAME}.localhost"
URL: Final = f"http://{HOST}:7000"
COOKIE: Final = "hive_7000"


@dataclass
class Operator:
    """A browser in miniature: an app, a session, forms with their tokens."""

    hive: FakeHive
    app: Flask
    session: str | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"Origin": URL})

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        if self.session is not None:
            self.client.set_cookie(COOKIE, self.session, domain=HOST)

    def get(self, path: str, **headers: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path, base_url=URL, headers=headers)

    def post(
        self, path: str, form: Mapping[str, object] | None = None, **headers: str
    ) -> TestResponse:
        """Send a form as our own pages do; ``headers`` override."""
        fields = {"csrf": csrf_token(self.session or "", URL), **(form or {})}
        sent = {**self.headers, **headers}
        return self.client.post(path, base_url=URL, data=fields, headers=sent)


class Page(Client):
    """A page's WebSocket, without two faults of the library's own."""

    def handshake(self) -> None:
        """Say the host as browsers do; read what came with the server's answer.

        The library leaves the port out of ``Host``, and looks at messages in the packet
        of the answer only when the next packet arrives.
        """
        self.host: str = f"{self.host}:{self.port}"
        super().handshake()
        self.connected: bool = self._handle_events()

    def until(self, wanted: str) -> dict[str, Any]:
        """Return the next message of this type; none of other types ends the wait."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            text = self.receive(timeout=PATIENCE_S)
            message: dict[str, Any] = json.loads(text or '{"type": "silence"}')
            if message["type"] == wanted:
                return message
        raise AssertionError(f"no {wanted} came in time")


class _Compiled(BytecodeCache):
    """Templates that an app of this process has compiled: each would do it anew."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is known."""
        if bucket.key in self._known:
            bucket.bytecode_from_string(self._known[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self._known[bucket.key] = bucket.bytecode_to_string()


_COMPILED: Final = _Compiled()


def make_app(hive: FakeHive, web: WebConfig | None = None) -> Flask:
    """Return the app for a fake hive."""
    app = create_app(settings(hive.socket.parent, web or WebConfig()))
    app.jinja_env.bytecode_cache = _COMPILED
    return app


def settings(runtime: Path, web: WebConfig) -> HiveConfig:
    """Return the config of a hive whose sockets lie in ``runtime``."""
    return HiveConfig(state_dir=str(runtime), runtime_dir=str(runtime), web=web)


def refusing(code: ErrorCode, sentence: str) -> Callable[[object], Awaitable[object]]:
    """Return a method for ``FakeHive.overrides`` that refuses every call."""

    async def refuse(_params: object) -> object:
        raise HiveError(code, sentence)

    return refuse


def show_diff(hive: FakeHive, *files: FileDiff) -> None:
    """Let ``files`` be all that approval 7 changes."""
    one = DiffSet(base=DiffBase.RUNNING, commit=None, files=files)
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], diffs=(one,))


@contextlib.contextmanager
def hive_web(
    runtime: Path,
    port: int,
    web: WebConfig | None = None,
    *,
    stderr: IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``hive-web`` for the hive whose sockets lie in ``runtime``.

    Its log goes to ``stderr``.
    """
    web = web or WebConfig(port=port)
    file = runtime / "config.json"
    file.write_bytes(config.dump(settings(runtime, web)))
    command = [sys.executable, "-m", "pyglue.web.main", "--config", str(file)]
    environment = {**os.environ, "HOME": str(runtime)}
    process = subprocess.Popen(command, env=environment, stderr=stderr)
    try:
        _wait_for(process, port)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("hive-web did not begin to listen")
