"""Requests against the real dashboard that no browser of the operator sends.

Foreign and odd Hosts and Origins, stolen cookies, forged CSRF tokens, tricks with
paths, framing (smuggling) and headers, WebSocket and SSE handshakes. None of them is
the operator's, so none may read what the hive holds or leave a line in the audit log
in a session's name.
"""

import asyncio
import contextlib
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from hypothesis import strategies as st

from checks.fuzz.kit import Case, Trial
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.audit import AuditExportParams
from pyglue.api.common import NoParams
from pyglue.api.logins import LoginParams
from pyglue.config import HiveConfig
from pyglue.jsonrpc import SyncClient
from pyglue.web.app import create_app

_ODD_PATHS: Final = (
    *("//", "/./", "/../", "/%2e%2e/", "/..%2f..%2fetc/passwd", "/%00", "/\\", "/;/"),
    *("/static/../app.py", "/static/%2e%2e/%2e%2e/etc/passwd", "/static//etc/passwd"),
    *("/vendor/..%2f..%2fpackage.json", "/vendor/%2fetc%2fpasswd", "/agents/alice%0d"),
    *("//evil.example/", "/%2f%2fevil.example", "/agents/..%2f..", "/agents/%ff"),
    *("http://evil.example/", "http://127.0.0.1:1/", "*", "", "/?a=%", "/login?code="),
    *("/\u202e", "/agents/alice?x=" + "y" * 3000, "/" + "a" * 5000, "/..;/agents"),
)
_METHODS: Final = (
    *("GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"),
    *("TRACE", "CONNECT", "get", "GET ", "G\0T", "X" * 40, "POST\tx"),
)
_ARGUMENTS: Final = (
    *("alice", "manager", "1", "7", "-1", "0", "99999999999999999999", "..", "a b"),
    *("%2e%2e", "%00", "alice%2f..", "x" * 300, "{{7*7}}", "' or 1=1 --"),
)
_BODIES: Final = (
    *(b"", b"csrf=x", b"a=1&a=2", b"\0\xff\xfe", b"{}", b"[" * 500, b"x" * 70_000),
    *(b"body=hello&to=alice", b"reason=r&commit=c&manifest=m"),
)
_FRAMING: Final = (
    *("plain", "plain", "plain", "plain", "none", "wrong length", "negative length"),
    *("two lengths", "length and chunks", "bad chunk", "chunk extension", "huge chunk"),
    *("obs fold", "space before colon", "bare lf", "cut", "pipelined", "many headers"),
    *("long header", "te twice", "te cow", "expect", "http/0.9", "http/2", "upgrade"),
    *("sse", "nul header", "no host", "two hosts", "cl hex", "chunk no end"),
)
_CONTENT: Final = (
    *("application/x-www-form-urlencoded", "text/plain", "application/json"),
    *("multipart/form-data; boundary=x", "multipart/form-data", "\u00e9", ""),
)


@dataclass(frozen=True)
class Site:
    """The dashboard that is attacked, and what an attacker may have stolen."""

    port: int
    origin: str
    session: str
    cookie: str
    marker: bytes
    paths: tuple[str, ...]

    @property
    def host(self) -> str:
        """The name and port of the dashboard."""
        return urlsplit(self.origin).netloc


@dataclass(frozen=True)
class Drawn:
    """One request, before it is written."""

    method: str
    path: str
    host: str
    origin: str
    cookie: str
    csrf: str
    body: bytes
    framing: str
    content: str
    fetch: str


async def attack(trial: Trial) -> None:
    """Send drawn requests; afterwards nobody acted in a session's name."""
    site = await _site(trial)
    hive = await trial.lab.hive()

    async def body(case: Case, drawn: Drawn) -> None:
        await _one(case, site, drawn)

    await _sees_as_the_operator(site)
    await trial.explore(body, drawn=_requests(site))
    await _sees_as_the_operator(site)
    audit = await hive.operator.call(api.AUDIT_EXPORT, AuditExportParams(limit=500))
    acted = [
        one
        for one in audit.entries
        if one.who.startswith("session ") and one.what not in ("login", "logout")
    ]
    wrong = f"acted in a session's name: {acted!r}" if acted else None
    Case(trial, trial.tally.tried).unless(wrong, refused=True)


async def _sees_as_the_operator(site: Site) -> None:
    """See that the session is good and shows what must not be seen without it."""
    raw = (
        f"GET /messages HTTP/1.1\r\nHost: {site.host}\r\n"
        f"Cookie: {site.cookie}={site.session}\r\nConnection: close\r\n\r\n"
    )
    answer = await exchange(site, raw.encode())
    assert site.marker in answer, answer[:300]


async def _site(trial: Trial) -> Site:
    hive = await trial.lab.hive()
    config = hive.local.config
    marker = f"planted-{trial.seed}"
    await hive.send("alice", marker)
    code = (await hive.operator.call(api.LOGIN_CODE, NoParams())).code
    session, origin = await asyncio.to_thread(_login, config, code)
    return Site(
        port=config.web.port,
        origin=origin,
        session=session,
        cookie=f"hive_{config.web.port}",
        marker=marker.encode(),
        paths=_paths(config),
    )


def _login(config: HiveConfig, code: str) -> tuple[str, str]:
    with contextlib.closing(
        SyncClient(config.layout.operator_socket, client="hive-web")
    ) as web:
        session = web.call(api.LOGIN, LoginParams(code=code)).session
    with contextlib.closing(
        SyncClient(config.layout.operator_socket, client="hive")
    ) as cli:
        return session, cli.call(api.WEB_ORIGIN, NoParams()).origin


def _paths(config: HiveConfig) -> tuple[str, ...]:
    rules = create_app(config).url_map.iter_rules()
    return tuple(sorted({str(rule.rule) for rule in rules}))


def _requests(site: Site) -> st.SearchStrategy[Any]:
    known = st.builds(_filled, st.sampled_from(site.paths), st.sampled_from(_ARGUMENTS))
    host = site.host
    return st.builds(
        Drawn,
        method=st.sampled_from(_METHODS),
        path=st.one_of(known, known, known, st.sampled_from(_ODD_PATHS)),
        host=st.sampled_from(
            [
                *(host, host, host, f"127.0.0.1:{site.port}", f"localhost:{site.port}"),
                *("evil.example", host.partition(":")[0], f"{host}.", host.upper()),
                *(f"evil.example:{site.port}", "127.0.0.1:1", f"[::1]:{site.port}"),
                *(f"{host}@evil.example", f"evil.example@{host}", f"{host},x", ""),
                *(f"x.{host}", f"{host}:1", f"{host}/", f"{host}\t", "localhost"),
                *(f"127.0.0.1.nip.example:{site.port}", f"0.0.0.0:{site.port}"),
            ]
        ),
        origin=st.sampled_from(
            [
                *(
                    "",
                    site.origin,
                    "null",
                    "http://evil.example",
                    f"{site.origin}.evil",
                ),
                *(f"http://127.0.0.1:{site.port}", f"{site.origin}/", "https://x"),
                *(site.origin.rpartition(":")[0], f"{site.origin}1", "file://"),
            ]
        ),
        cookie=st.sampled_from(["", "", "stolen", "stolen", "guess", "other", "twice"]),
        csrf=st.sampled_from(["", "x", "of cookie", "of loopback", "of evil", "empty"]),
        body=st.sampled_from(_BODIES),
        framing=st.sampled_from(_FRAMING),
        content=st.sampled_from(_CONTENT),
        fetch=st.sampled_from(["", "", "cross-site", "same-site", "same-origin"]),
    )


def _filled(rule: str, argument: str) -> str:
    parts = [
        argument if part.startswith("<") else part
        for part in rule.replace(">", ">/").replace("<", "/<").split("/")
        if part
    ]
    return "/" + "/".join(parts)


def _forged(site: Site, drawn: Drawn) -> str:
    """Return a CSRF token that somebody with the cookie alone could make."""
    bound = {
        "of cookie": b"csrf",
        "of loopback": f"csrf http://127.0.0.1:{site.port}".encode(),
        "of evil": b"csrf http://evil.example",
    }.get(drawn.csrf)
    if bound is None:
        return "" if drawn.csrf == "empty" else drawn.csrf
    return hmac.new(site.session.encode(), bound, hashlib.sha256).hexdigest()


def _cookie(site: Site, drawn: Drawn) -> str:
    match drawn.cookie:
        case "stolen":
            return f"{site.cookie}={site.session}"
        case "guess":
            return f"{site.cookie}={'A' * 43}"
        case "other":
            return f"hive_1={site.session}; session={site.session}"
        case "twice":
            return f"{site.cookie}={'A' * 43}; {site.cookie}={site.session}"
        case _:
            return ""


def written(site: Site, drawn: Drawn) -> bytes:
    """Return the bytes of a request."""
    headers = [] if drawn.framing == "no host" else [("Host", drawn.host)]
    if drawn.framing == "two hosts":
        headers.append(("Host", site.host))
    for name, value in (
        ("Origin", drawn.origin),
        ("Cookie", _cookie(site, drawn)),
        ("X-CSRF-Token", _forged(site, drawn)),
        ("Content-Type", drawn.content),
        ("Sec-Fetch-Site", drawn.fetch),
    ):
        if value:
            headers.append((name, value))
    version = {"http/2": "HTTP/2.0", "http/0.9": ""}.get(drawn.framing, "HTTP/1.1")
    body, more = _framed(drawn, site)
    lines = [f"{drawn.method} {drawn.path} {version}".rstrip(), *more]
    lines[1:1] = [f"{name}: {value}" for name, value in headers]
    end = "\n" if drawn.framing == "bare lf" else "\r\n"
    raw = (end.join(lines) + end * 2).encode("utf-8", "surrogatepass") + body
    return raw[: len(raw) // 2] if drawn.framing == "cut" else raw


def _framed(drawn: Drawn, site: Site) -> tuple[bytes, list[str]]:
    """Return the body as it is sent, and the headers that frame it."""
    body, size = drawn.body, len(drawn.body)
    length, chunked = f"Content-Length: {size}", "Transfer-Encoding: chunked"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size or 1, body or b"x")
    hidden = (
        f"POST /pause-all HTTP/1.1\r\nHost: {site.host}\r\n"
        f"Cookie: {site.cookie}={site.session}\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    match drawn.framing:
        case "none" | "cut" | "http/0.9":
            return b"", []
        case "wrong length":
            return body, [f"Content-Length: {size + 5}"]
        case "negative length":
            return body, ["Content-Length: -1"]
        case "cl hex":
            return body, [f"Content-Length: 0x{size:x}"]
        case "two lengths":
            return body, [length, "Content-Length: 0"]
        case "length and chunks":
            return chunks + hidden, [length, chunked]
        case "bad chunk":
            return b"zz\r\n" + body, [chunked]
        case "chunk extension":
            return b"1;x=\n\r\nx\r\n0\r\n\r\n" + hidden, [chunked]
        case "huge chunk":
            return b"f" * 40 + b"\r\nx", [chunked]
        case "chunk no end":
            return b"5\r\nabc", [chunked]
        case "te twice":
            return chunks + hidden, [chunked, "Transfer-Encoding: identity"]
        case "te cow":
            return chunks + hidden, ["Transfer-Encoding: xchunked", length]
        case "obs fold":
            return body, [length, "X-A: b\r\n  c", " Folded: x"]
        case "space before colon":
            return body, [f"Content-Length : {size}"]
        case "nul header":
            return body, [length, "X-A: b\0c"]
        case "many headers":
            return body, [length, *(f"X-{n}: y" for n in range(500))]
        case "long header":
            return body, [length, "X-A: " + "y" * 100_000]
        case "expect":
            return body, [length, "Expect: 100-continue"]
        case "pipelined":
            return body + hidden, [length]
        case "upgrade":
            return b"\x81\x05hello", [
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ]
        case "sse":
            return b"", ["Accept: text/event-stream", "Last-Event-ID: 1"]
        case _:
            return body, [length, "Connection: close"]


async def _one(case: Case, site: Site, drawn: Drawn) -> None:
    raw = written(site, drawn)
    try:
        answer = await exchange(site, raw)
    except TimeoutError:
        case.wrong(f"no answer and no end to {raw[:800]!r}")
        return
    statuses = [
        int(line.split()[1])
        for line in answer.split(b"\r\n")
        if line.startswith(b"HTTP/1.") and line.split()[1:2]
    ]
    case.unless(
        _fault(site, drawn, answer, statuses, raw),
        refused=not any(code < 400 for code in statuses),
    )


def _fault(
    site: Site, drawn: Drawn, answer: bytes, statuses: list[int], raw: bytes
) -> str | None:
    shown = f"to {raw[:900]!r}: {answer[:300]!r}"
    if any(code >= 500 and code != 501 for code in statuses):
        return f"an error of the server {shown}"
    if f"set-cookie: {site.cookie}=".encode() in answer.lower() and (
        b"expires=thu, 01 jan 1970" not in answer.lower()
    ):
        return f"a session {shown}"
    owner = drawn.cookie in ("stolen", "twice") and drawn.host.lower() == site.host
    if site.marker in answer and not owner:
        return f"what the hive holds {shown}"
    if b"Traceback" in answer or b"root:x:" in answer:
        return f"what nobody may see {shown}"
    return None


async def exchange(site: Site, raw: bytes) -> bytes:
    """Send, close our side, and read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    found = bytearray()
    try:
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError, OSError):
                writer.write(raw)
                await writer.drain()
                writer.write_eof()
                while data := await reader.read(65536):
                    found += data
                    if b"text/event-stream" in found or b" 101 " in found[:20]:
                        break  # a stream goes on for as long as it is held
    finally:
        writer.transport.abort()
    return bytes(found)
