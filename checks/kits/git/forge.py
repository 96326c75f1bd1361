"""A Git forge with TLS on loopback, and an agent that uses it from its sandbox.

``Forge`` serves repositories by Git's own CGI program, and packages; ``Setting`` runs
commands as alice, by the real CLI and its Bash tool.
"""

import base64
import hashlib
import io
import json
import os
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from checks.kits.host.hive import Hive, script
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.manager import AgentParams
from pyglue.api.overview import HostUse


class Forge(ThreadingHTTPServer):
    """Serves a repository by Git's own CGI program, and packages, over TLS."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.wanted: str | None = None
        """The Authorization header without which it serves nothing."""
        self.waiting = threading.Event()
        self.go_on = threading.Event()
        super().__init__(("127.0.0.1", 0), ForgeHandler)
        self.files = packages(f"https://forge.test:{self.server_address[1]}")


class ForgeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _run(self) -> None:
        forge = self.server
        assert isinstance(forge, Forge)
        forge.asked.append(f"{self.command} {self.path}")
        path, _, query = self.path.partition("?")
        body = self._body()
        if forge.wanted not in (None, self.headers.get("Authorization")):
            self._send(401, [("WWW-Authenticate", 'Basic realm="forge"')], b"")
            return
        if path == "/slow":
            forge.waiting.set()
            forge.go_on.wait(PATIENCE_S)
            self._send(200, [], b"slow\n")
            return
        if path == "/echo":
            plain = [("Content-Type", "text/plain")]
            self._send(200, plain, str(self.headers).encode())
            return
        if path == "/elsewhere":
            port = forge.server_address[1]
            self._send(302, [("Location", f"https://other.test:{port}/echo")], b"")
            return
        if path in forge.files:
            kind = "text/html" if path.startswith("/simple/") else "application/json"
            self._send(200, [("Content-Type", kind)], forge.files[path])
            return
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(forge.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "agent",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            env=env,
            input=body,
            stdout=subprocess.PIPE,
            check=True,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200, []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            elif name != "Content-Length":
                headers.append((name, value))
        self._send(status, headers, content)

    def _send(
        self, status: int, headers: list[tuple[str, str]], content: bytes
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def do_GET(self) -> None:
        """Answer."""
        self._run()

    def do_POST(self) -> None:
        """Answer."""
        self._run()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def packages(url: str) -> dict[str, bytes]:
    """Return what a Python index and an npm registry with a package each serve."""
    wheel, tarball = io.BytesIO(), io.BytesIO()
    info = "thing-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", "SAYS = 'a wheel'\n")
        about = "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"
        archive.writestr(f"{info}/METADATA", about)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tag)
        archive.writestr(f"{info}/RECORD", "")
    with tarfile.open(fileobj=tarball, mode="w:gz") as archive:
        about = json.dumps({"name": "thing", "version": "1.0.0", "main": "i.js"})
        for name, text in (("package.json", about), ("i.js", "exports.a = 'npm'")):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    digest = base64.b64encode(hashlib.sha512(tarball.getvalue()).digest()).decode()
    file = "thing-1.0-py3-none-any.whl"
    dist = {
        "tarball": f"{url}/thing/-/thing-1.0.0.tgz",
        "integrity": f"sha512-{digest}",
    }
    version = {"name": "thing", "version": "1.0.0", "dist": dist}
    known = {
        "name": "thing",
        "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": version},
    }
    return {
        "/simple/thing/": f'<a href="/files/{file}">{file}</a>'.encode(),
        f"/files/{file}": wheel.getvalue(),
        "/thing": json.dumps(known).encode(),
        "/thing/-/thing-1.0.0.tgz": tarball.getvalue(),
    }


@contextmanager
def forging(room: Path, pair: tuple[Path, Path]) -> Iterator[Forge]:
    """Run a forge with one empty repository."""
    root = room / "repositories"
    subprocess.run(["git", "init", "-q", "--bare", str(root / "p.git")], check=True)
    forge = Forge(root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    forge.socket = context.wrap_socket(
        forge.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=forge.serve_forever, daemon=True)
    thread.start()
    try:
        yield forge
    finally:
        forge.shutdown()
        forge.server_close()


class Setting:
    """A hive with alice, who may reach the forge; runs commands as her."""

    def __init__(self, hive: Hive, forge: Forge, certificate: str | None) -> None:
        """``certificate`` is whom alice's programs are told to trust; None: nobody."""
        self.hive = hive
        self.forge = forge
        self.port = forge.server_address[1]
        self._begin = (
            "set +e; cd; rm -rf p\n"
            if certificate is None
            else (
                f"set +e; cat > /tmp/ca.pem <<'EOF'\n{certificate}EOF\n"
                "export GIT_SSL_CAINFO=/tmp/ca.pem CURL_CA_BUNDLE=/tmp/ca.pem "
                "NODE_EXTRA_CA_CERTS=/tmp/ca.pem; cd; rm -rf p\n"
            )
        )
        self.url = f"https://forge.test:{self.port}"
        self._number = 0

    async def run(self, command: str) -> str:
        """Run a command in alice's sandbox; return what it wrote."""
        self._number += 1
        mark = f"run {self._number}"
        text = f"{self._begin}({command}) > out 2>&1; echo; echo '{mark} is over'"
        steps = (
            {"tool": "Bash", "input": {"command": text}},
            {"tool": "mcp__hive__send", "input": {"to": "operator", "body": mark}},
            {"text": "done"},
        )
        await self.hive.send("alice", script(*steps))
        await self.hive.answer("alice", mark)
        await self.hive.idle("alice")
        layout = self.hive.local.config.layout
        return (layout.agent_state("alice") / "out").read_text()

    async def used(self) -> tuple[HostUse, ...]:
        """Return the hosts on alice's page."""
        detail = await self.hive.operator.call(api.AGENT, AgentParams(agent="alice"))
        return detail.hosts

    async def until(self, host: str, *, refused: bool) -> HostUse:
        """Wait until hived knows of a connection."""

        async def look() -> HostUse | None:
            for one in await self.used():
                if one.host == host and (one.refused is not None) is refused:
                    return one
            return None

        return await self.hive.until(look, f"a connection to {host}")
