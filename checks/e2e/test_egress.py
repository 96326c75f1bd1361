"""An agent that may reach one host, from inside its real sandbox, by real programs.

``forge.test`` is a Git server with TLS on loopback, and ``other.test`` is the same one
under a name that is not allowed.
"""

import asyncio
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
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from checks.kits.egress import make_certificate
from checks.kits.hive import Hive, running_hive, script
from pyglue.api import operator as api
from pyglue.api.approvals import ApprovalParams, Effect
from pyglue.api.manager import AgentParams
from pyglue.api.operations import OperationState
from pyglue.api.overview import HostUse

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap", "openssl"),
]

NIX: Final = """{
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = null;
  hyperhive.network.allow = [ "forge.test:%d" "*.pages.test" ];
}
"""
NAMES: Final = dict.fromkeys(("forge.test", "other.test", "a.pages.test"), "127.0.0.1")
BACKEND: Final = "git-http-backend"


class Forge(ThreadingHTTPServer):
    """Serves a repository by Git's own CGI program, and packages, over TLS."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = packages(f"https://forge.test:{self.server_address[1]}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _run(self) -> None:
        forge = self.server
        assert isinstance(forge, Forge)
        forge.asked.append(f"{self.command} {self.path}")
        path, _, query = self.path.partition("?")
        body = self._body()
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

    def __init__(self, hive: Hive, forge: Forge, certificate: str) -> None:
        self.hive = hive
        self.forge = forge
        self.port = forge.server_address[1]
        self._begin = (
            f"set +e; cat > /tmp/ca.pem <<'EOF'\n{certificate}EOF\n"
            "export GIT_SSL_CAINFO=/tmp/ca.pem CURL_CA_BUNDLE=/tmp/ca.pem "
            "NODE_EXTRA_CA_CERTS=/tmp/ca.pem; cd; rm -rf p\n"
        )
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    """Alice's hive, once her proposal is approved."""
    room = tmp_path_factory.mktemp("egress")
    pair = make_certificate(room, "forge.test", "other.test", "a.pages.test")
    with forging(room, pair) as forge:
        async with running_hive(room, names=NAMES) as hive:
            nix = NIX % forge.server_address[1]
            proposal = await hive.propose("alice", nix)
            shown = await hive.operator.call(
                api.APPROVAL, ApprovalParams(id=proposal.approval)
            )
            (change,) = [
                one for one in shown.policy if one.option == "hyperhive.network.allow"
            ]
            assert change.effect is Effect.WIDENS
            assert "May now reach the hosts forge.test:" in change.sentence
            assert (await hive.approve(proposal)).state is OperationState.DONE
            yield Setting(hive, forge, pair[0].read_text())


async def test_git_clones_and_pushes(at: Setting) -> None:
    """Over HTTPS, with nothing set by the agent but whom to trust."""
    said = await at.run(
        f"git clone https://forge.test:{at.port}/p.git && cd p && echo 1 > a && "
        "git add a && git commit -qm one && git push origin HEAD:main && "
        f"git ls-remote https://forge.test:{at.port}/p.git"
    )
    assert "refs/heads/main" in said, said
    used = await at.until("forge.test", refused=False)
    assert used.port == at.port and used.connections >= 1


async def test_another_host_is_refused_with_what_to_ask_for(at: Setting) -> None:
    """The operator sees it, with the entry that would let it through."""
    said = await at.run(
        f"curl -sv https://other.test:{at.port}/p.git/HEAD; echo code $?"
    )
    assert "hyperhive.network.allow" in said, said
    assert "CONNECT tunnel failed, response 403" in said
    used = await at.until("other.test", refused=True)
    assert used.entry == f"other.test:{at.port}"
    assert (await at.hive.agent("alice")).egress is not None


async def test_there_is_no_other_way_out(at: Setting) -> None:
    """Not by a name, not by an address, not to the hive's own processes."""
    web = at.hive.local.config.web.port
    said = await at.run(
        f"curl -s -m 5 --noproxy '*' https://127.0.0.1:{at.port}/; echo direct $?; "
        f"curl -s -m 5 https://127.0.0.1:{at.port}/; echo local $?; "
        f"curl -s -m 5 --noproxy x http://127.0.0.1:{web}/; "
        f"curl -s -m 5 --noproxy x http://localhost:{web}/; "
        f"curl -s -m 5 -g 'http://[::ffff:127.0.0.1]:{web}/'; "
        "curl -s -m 5 http://169.254.169.254/latest/meta-data/"
    )
    assert "direct 7" in said and "local 7" in said, said
    for host in (f"127.0.0.1:{web}", f"localhost:{web}", "169.254.169.254:80"):
        assert f"You may not reach {host}." in said, said
    assert "You may not reach [::ffff:" in said, said


@pytest.mark.needs("pip")
async def test_pip_installs(at: Setting) -> None:
    """From the index that it is told of, through the proxy of its environment."""
    said = await at.run(
        "/usr/bin/python3 -m pip --disable-pip-version-check install --no-deps "
        "--target t --cert /tmp/ca.pem "
        f"--index-url https://forge.test:{at.port}/simple thing && "
        "PYTHONPATH=t /usr/bin/python3 -c 'import thing; print(thing.SAYS)'"
    )
    assert "a wheel" in said, said


@pytest.mark.needs("npm")
async def test_npm_installs(at: Setting) -> None:
    """From the registry that it is told of, through the proxy of its environment."""
    said = await at.run(
        "mkdir -p n && cd n && echo '{}' > package.json && npm install --no-audit "
        "--no-fund --cafile /tmp/ca.pem "
        f"--registry https://forge.test:{at.port}/ thing && "
        "node -e \"console.log('by ' + require('thing').a)\""
    )
    assert "by npm" in said, said


async def test_it_dies_and_comes_back(at: Setting) -> None:
    """Nothing else of the hive is affected, and new connections work."""
    hive = at.hive
    os.kill(hive.local.pid("hive-egress"), 9)
    keeper = asyncio.create_task(hive.local.ended())
    refs = f"https://forge.test:{at.port}/p.git/info/refs?service=git-upload-pack"
    said = await at.run(f"curl -sS -m 60 '{refs}' -o -")
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert "# service=git-upload-pack" in said, said
