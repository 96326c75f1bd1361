"""hive-egress's readers of what agents send, before it connects them and after.

``first``: an agent's first request. ``secret``: the one request that gets headers with
a secret. ``web``: some requests in a tunnel to port 80. All are carried by the
product's ``exchange`` to a host that reads with llhttp, as Node's servers do: it must
see one request, or in a tunnel some, each for the host that was judged, and the secret
once. ``hello``: TLS inside a connection that carries secrets, for any name.
"""

import asyncio
import random
import re
import ssl
import sys
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import StreamReader as Body

from checks.fuzz.kit import Case, Trial
from pyglue.api.egress import HeaderLine
from pyglue.egress.authority import Authority
from pyglue.egress.exchange import Flow, exchange
from pyglue.egress.hello import without_names
from pyglue.egress.refusal import RefusedError
from pyglue.egress.request import Reader
from pyglue.egress.strict import request_of
from pyglue.egress.web import Web, begins_like_http
from pyglue.limits import EgressLimits
from pyglue.net import hosts

_LIMITS: Final = EgressLimits(head=4096)
_HOST: Final = hosts.Host("forge.test", 443)
_WEB: Final = hosts.Host("forge.test", 80)
_VALUE: Final = "Bearer planted-secret"
_LINES: Final = (HeaderLine(name="authorization", value=_VALUE, hidden=()),)
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_ODD_START: Final = re.compile("(?i)invalid method|bad status line")
"""A method or path that this host does not know may be another host's business."""
_STUCK_S: Final = 1.0
_METHODS: Final = (
    *(b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"CONNECT"),
    *(b"TRACE", b"PRI", b"get", b"", b"G T", b"GET\t", b"\x16\x03\x01"),
)
_AUTHORITIES: Final = (
    *(b"forge.test", b"forge.test", b"forge.test:443", b"FORGE.TEST.", b"other.test"),
    *(b"forge.test:80", b"forge.test@other.test", b"u:p@forge.test", b"127.0.0.1"),
    *(b"[::1]:443", b"forge.test:0443", b"forge.test:99999", b"forge.test\\.x", b""),
    *(b"forge.test,other.test", b"forge.test other.test", b"f\xc3\xb6rge.test", b"."),
)
_PATHS: Final = (
    *(b"/", b"/a?b=c", b"*", b"", b"//other.test/", b"/\x7f", b"/ HTTP/1.1", b"/#x"),
    *(b"/%0d%0aX:1", b"?q", b"@other.test/", b"\\other.test", b"/\xff"),
)
_NAMES: Final = (
    *(
        b"Host",
        b"host",
        b"Host ",
        b" Host",
        b"X-Mine",
        b"Authorization",
        b"authorization",
    ),
    *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect"),
    *(b"authorization_", b"Proxy-Authorization", b"TE", b"Trailer", b"", b"X\0"),
    *(b"Content_Length", b"Transfer-Encoding\t", b"HTTP2-Settings", b"X-Long"),
)
_VALUES: Final = (
    *(b"1", b"3", b"+3", b"0x3", b"3, 3", b"-1", b"chunked", b"Chunked", b"identity"),
    *(b"gzip, chunked", b"chunked, identity", b"close", b"authorization", b"host"),
    *(
        b"websocket",
        b"100-continue",
        b"a\0b",
        b"\xff",
        b"",
        b"x" * 5000,
        b"\x0bchunked",
    ),
)
_ENDS: Final = (*(b"\r\n",) * 60, b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\r\n\t")
_BODIES: Final = (
    *(b"", b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"3;x=y\r\nabc\r\n"),
    *(b"0\r\nHost: other.test\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n"),
    b"0\r\n\r\nGET /second HTTP/1.1\r\nHost: other.test\r\n\r\n",
    b"GET /second HTTP/1.1\r\nHost: other.test\r\n\r\n",
    b"ffffffffffffffff0\r\n",
)
_NOISE: Final = (
    *(b"\r", b"\n", b"\0", b" ", b"\t", b":", b"\r\n", b"\r\n\r\n", b"\xff"),
)
_SNI: Final = (
    *("forge.test", "forge.test", "FORGE.test", "other.test", "forge.test.other.test"),
    *("xforge.test", "forge", "a" * 60 + ".test", "127.0.0.1", "*.test"),
)


async def attack(trial: Trial) -> None:
    """Send what is drawn."""
    authority = Authority()
    before, sys.unraisablehook = sys.unraisablehook, without_names
    try:
        await _all(trial, authority)
    finally:
        sys.unraisablehook = before


async def _all(trial: Trial, authority: Authority) -> None:
    for case in trial.cases():
        rng = case.random
        kind = rng.choice(("first", "secret", "secret", "web", "web", "hello"))
        if kind == "hello":
            _hello(case, authority, rng.choice(_SNI), _forged(rng))
            continue
        data = b"".join(
            _request(rng, absolute=kind == "first")
            for _ in range(rng.choice((1, 2, 3)) if kind == "web" else 1)
        )
        try:
            fault, refused = await _carried(kind, data, rng)
        except Exception as error:
            fault, refused = f"{error!r}", False
        case.unless(
            None if fault is None else f"{kind}: {fault}: {data!r}", refused=refused
        )


# --- requests -------------------------------------------------------------------------


def _request(rng: random.Random, *, absolute: bool) -> bytes:
    """Draw a request: half of them as they should be, but for one thing or two."""
    odd = rng.random() < 0.5
    method = rng.choice(_METHODS if odd else _METHODS[:4])
    authority = rng.choice(_AUTHORITIES if odd else _AUTHORITIES[:2])
    target = rng.choice(_PATHS if odd else _PATHS[:2])
    if absolute != (rng.random() < 0.1):
        scheme = b"" if method == b"CONNECT" else b"http://"
        target = scheme + authority + (b"" if method == b"CONNECT" else target)
    named = authority if rng.random() < 0.8 else rng.choice(_AUTHORITIES)
    version = rng.choice((*(b"HTTP/1.1",) * 12, b"HTTP/1.0", b"HTTP/2.0", b"http/1.1"))
    lines = [b" ".join((method, target, version)), b"Host: " + named]
    for _ in range(rng.randrange(4)):
        colon = rng.choice((b": ", b": ", b":", b" : ", b""))
        lines.append(rng.choice(_NAMES) + colon + rng.choice(_VALUES))
    body = rng.choice(_BODIES)
    if rng.random() < 0.4:
        lines.append(b"Content-Length: %d" % len(body))
    elif rng.random() < 0.4:
        lines.append(b"Transfer-Encoding: chunked")
    data = bytearray(b"".join(one + rng.choice(_ENDS) for one in lines))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(3)] = rng.choice(_NOISE)
    return bytes(data + b"\r\n" + body)


@dataclass
class _Pieces:
    """What an agent sends, in pieces, and then no more; it reads all it is answered."""

    data: bytes
    rng: random.Random

    def write(self, data: bytes) -> None:
        """Take it."""

    async def drain(self) -> None:
        """Take everything at once."""

    async def read(self, most: int) -> bytes:
        """Return some."""
        size = min(most, self.rng.choice((1, 2, 7, 10_000)))
        piece, self.data = self.data[:size], self.data[size:]
        return piece


@dataclass
class _Far:
    """The host: reads with llhttp, and answers a request when it is whole."""

    answers: asyncio.StreamReader
    parser: HttpRequestParser
    seen: list[tuple[str, str, list[tuple[bytes, bytes]]]] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    rejected: str | None = None
    left: bool = False

    def keep(self) -> None:
        """Be read from, as it is anyway."""

    async def read(self, most: int) -> bytes:
        """Return what it answers."""
        return await self.answers.read(most)

    def write(self, data: bytes) -> None:
        """Read what was sent."""
        if not data or self.rejected is not None:
            return
        try:
            found, _, _ = self.parser.feed_data(data)
        except HttpProcessingError as error:
            self.rejected = error.message
            self.abort()
            return
        for message, body in found:
            self.seen.append((message.method, message.path, list(message.raw_headers)))
            self.bodies.append(body)
        if self.bodies and all(one.is_eof() for one in self.bodies) and not self.left:
            self.answers.feed_data(_ANSWER)

    async def drain(self) -> None:
        """Take everything at once."""

    def abort(self) -> None:
        """End."""
        if not self.left:
            self.left = True
            self.answers.feed_eof()


async def _carried(
    kind: str, data: bytes, rng: random.Random
) -> tuple[str | None, bool]:
    """Read and carry a request; return what is wrong, and whether it was refused."""
    agent = _Pieces(data, rng)
    loop = asyncio.get_running_loop()
    parser = HttpRequestParser(
        BaseProtocol(loop), loop, 2**16, max_line_size=10**6, max_field_size=10**6
    )
    far = _Far(asyncio.StreamReader(), parser)
    flow = Flow(_STUCK_S, lambda **_: None)
    try:
        async with flow.running():
            if kind == "web":
                return await _in_tunnel(agent, far, flow)
            return await _alone(kind, agent, far, flow)
    except RefusedError:
        return None, True
    except TimeoutError:
        return "the host waits for more than was sent", False


async def _in_tunnel(agent: _Pieces, far: _Far, flow: Flow) -> tuple[str | None, bool]:
    """Carry the requests of a tunnel to port 80."""
    refused: str | None = None
    first = await agent.read(10_000)
    if begins_like_http(first):
        sides: dict[str, Any] = {"agent": agent, "out": far}
        web = Web(host=_WEB, flow=flow, limits=_LIMITS, **sides)
        refused = await web.carry(first)
    wrong = _fault("web", _WEB, far)
    return wrong, refused is not None or far.rejected is not None


async def _alone(
    kind: str, agent: _Pieces, far: _Far, flow: Flow
) -> tuple[str | None, bool]:
    """Carry a first request, or one with a secret."""
    host, data, reader = _HOST, agent.data, Reader(agent, _LIMITS)
    if kind == "secret":
        request = await request_of(agent, reader, host, _LINES, _LIMITS.head)
    else:
        asked = await reader.asked()
        if asked is None:
            return None, True
        host, request = asked.host, asked.plain
        if request is None:
            rest = data.endswith(asked.first + agent.data)
            return (None if rest else "lost bytes of a tunnel"), False
    if request is None:
        return None, True
    await exchange(reader, request, agent, far, flow)  # type: ignore[arg-type]
    return _fault(kind, host, far), far.rejected is not None


def _fault(kind: str, host: hosts.Host, far: _Far) -> str | None:
    """Return what is wrong with what the host saw."""
    if len(far.seen) > 1 and kind != "web":
        return f"{len(far.seen)} requests: {far.seen!r}"
    if far.rejected is not None and not _ODD_START.search(far.rejected):
        return f"the host rejects it: {far.rejected}"
    for _, path, headers in far.seen:
        named = [value for name, value in headers if name.lower() == b"host"]
        port = 443 if kind == "secret" else 80
        if [hosts.asked(one.decode(), default_port=port) for one in named] != [host]:
            return f"for {host}, but the host saw {named!r}"
        if not path.startswith("/") and (kind, path) != ("web", "*"):
            return f"the target is {path!r}"
        secrets = [
            value
            for name, value in headers
            if name.lower().replace(b"_", b"-") == b"authorization"
        ]
        if kind == "secret" and secrets != [_VALUE.encode()]:
            return f"authorization is {secrets!r}"
        if any(name.lower() == b"proxy-authorization" for name, _ in headers):
            return "a header of the proxy was sent on"
    return None


# --- TLS ------------------------------------------------------------------------------


def _forged(rng: random.Random) -> tuple[float, bytes] | None:
    """Draw where a ClientHello is damaged, and with what; None: it is not."""
    return (
        (rng.random(), rng.randbytes(rng.randrange(1, 4)))
        if rng.random() < 0.5
        else None
    )


def _hello(
    case: Case, authority: Authority, name: str, forged: tuple[float, bytes] | None
) -> None:
    """Shake hands with the hive's certificate for ``forge.test``."""
    ours = ssl.create_default_context(cadata=authority.pem)
    ours.check_hostname = False
    to, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(back, to, server_hostname=name)
    server = authority.context(_HOST.name).wrap_bio(to, back, server_side=True)
    try:
        done = _steps(client, server, to, forged)
    except ssl.SSLError:
        case.refused()
        return
    right = name.lower() == _HOST.name or name == "127.0.0.1"  # which no hello carries
    case.unless(
        None if not done or right or forged else f"TLS for {name}", refused=not done
    )


def _steps(
    client: ssl.SSLObject,
    server: ssl.SSLObject,
    to: ssl.MemoryBIO,
    forged: tuple[float, bytes] | None,
) -> bool:
    """Shake hands to the end, if there is one."""
    finished = 0
    for side in (client, server, client, server):
        try:
            side.do_handshake()
            finished += 1
        except ssl.SSLWantReadError:
            pass
        if forged is not None and side is client:
            data = bytearray(to.read())
            at = int(forged[0] * len(data))
            data[at : at + len(forged[1])] = forged[1]
            to.write(bytes(data))
            forged = None
    return finished >= 2
