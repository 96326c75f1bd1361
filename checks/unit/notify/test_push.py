"""hive-notify and push services, over real TLS: contents, and refused addresses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from aiohttp.resolver import ThreadedResolver

from checks.kits.egress.bench import make_certificate
from checks.kits.host.push import PushService, push_service
from pyglue.api.notify import PushOutcome, SendPush, SentPush
from pyglue.config import WebPushConfig
from pyglue.notify import push as module
from pyglue.notify.push import Pusher

SECRET: Final = "/send/hunter2"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture
async def service(
    tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PushService]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    async with push_service(tls) as made:
        yield made


async def send(endpoint: str, *private_hosts: str) -> SentPush:
    pusher = Pusher(WebPushConfig(enable=True, private_hosts=private_hosts))
    try:
        return await pusher.send(
            SendPush(endpoint=endpoint, authorization="vapid t=a, k=b", body=b"sealed")
        )
    finally:
        await pusher.close()


async def test_it_is_sent_as_the_rfc_says(service: PushService) -> None:
    sent = await send(f"{service.origin}{SECRET}?x=1", service.host)
    assert sent == SentPush(outcome=PushOutcome.SENT)
    (got,) = service.got
    assert (got.path, got.body) == (f"{SECRET}?x=1", b"sealed")
    wanted = {
        "host": service.host,
        "authorization": "vapid t=a, k=b",
        "content-encoding": "aes128gcm",
        "ttl": "86400",
        "urgency": "high",
    }
    assert wanted.items() <= got.headers.items()
    assert "cookie" not in got.headers


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((200, "sent"), (201, "sent"), (202, "sent"), (204, "sent")),
        *((404, "gone"), (410, "gone")),
        *((400, "refused"), (401, "refused"), (403, "refused"), (413, "refused")),
        *((429, "failed"), (500, "failed"), (503, "failed")),
        *((301, "refused"), (307, "refused"), (308, "refused")),
    ],
)
async def test_what_a_service_says_is_judged(
    service: PushService, status: int, outcome: str
) -> None:
    service.status = status
    service.headers = (f"location: {service.origin}/elsewhere",)
    sent = await send(f"{service.origin}{SECRET}", service.host)
    assert sent.outcome == outcome
    assert (sent.problem is None) == (outcome == "sent")
    assert "hunter2" not in str(sent)
    assert [one.path for one in service.got] == [SECRET]  # no redirect is followed


@pytest.mark.parametrize(
    ("said", "again_s"),
    [
        *(("120", 120.0), ("999999", 3600.0), ("-5", 0.0), ("9" * 5000, 0.0)),
        *(("Fri, 01 Jan 2027 00:00:00 GMT", 0.0), ("\u00b2", 0.0)),
    ],
)
async def test_it_says_when_it_wants_to_be_asked_again(
    service: PushService, said: str, again_s: float
) -> None:
    service.status = 429
    service.headers = (f"retry-after: {said}",)
    sent = await send(f"{service.origin}{SECRET}", service.host)
    assert (sent.outcome, sent.again_s) == (PushOutcome.FAILED, again_s)


async def test_a_name_with_a_private_address_is_not_called(
    service: PushService,
) -> None:
    for allowed in ((), ("localhost",), ("localhost:1",), ("*.push.lan",)):
        sent = await send(f"{service.origin}{SECRET}", *allowed)
        assert sent.outcome is PushOutcome.REFUSED
        assert sent.problem == f"{service.host} has an address that is not public"
    assert service.got == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]:8443/x",
        "http://push.example/x",
        "https://user@push.example/x",
    ],
)
async def test_what_is_no_public_https_is_refused(endpoint: str) -> None:
    assert (await send(endpoint)).outcome is PushOutcome.REFUSED


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names have these addresses, one answer after the other."""
    asked: list[str] = []

    async def resolve(
        _self: ThreadedResolver, host: str, port: int = 0, family: int = 0
    ) -> list[dict[str, Any]]:
        asked.append(host)
        return [
            {
                **{"hostname": host, "host": one, "port": port},
                **{"family": family, "proto": 0, "flags": 0},
            }
            for one in answers[min(len(asked), len(answers)) - 1]
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    return asked


@pytest.mark.parametrize(
    "addresses",
    [
        *(["10.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["fe80::1%eth0"]),
        ["::ffff:127.0.0.1"],
    ],
)
async def test_every_address_of_a_name_must_be_public(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolving(monkeypatch, addresses)
    sent = await send("https://push.example/x")
    assert sent.problem == "push.example:443 has an address that is not public"


async def test_a_name_is_looked_up_once(
    service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, ["203.0.113.7"], ["127.0.0.1"])
    monkeypatch.setattr(module, "is_public", lambda one: str(one) == "203.0.113.7")
    timeout = aiohttp.ClientTimeout(total=0.5)
    monkeypatch.setattr(module, "_TIMEOUT", timeout)
    sent = await send(f"{service.origin}{SECRET}")
    assert asked == ["localhost"]
    assert sent.outcome is PushOutcome.FAILED
    assert service.got == []


async def test_the_service_must_be_who_it_says(
    service: PushService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path, "push.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(other[0]))
    sent = await send(f"{service.origin}{SECRET}", service.host)
    said = f"{service.host} has an invalid certificate"
    assert sent == SentPush(outcome=PushOutcome.FAILED, problem=said)
    async with push_service(other) as wrong:
        sent = await send(f"{wrong.origin}{SECRET}", wrong.host)
        assert sent.outcome is PushOutcome.FAILED
        assert wrong.got == []
    assert service.got == []


async def test_nobody_there_is_tried_again() -> None:
    server = await asyncio.start_server(lambda _r, writer: writer.close(), "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    for _ in range(2):
        sent = await send(f"https://localhost:{port}{SECRET}", f"localhost:{port}")
        assert sent.outcome is PushOutcome.FAILED
        assert sent.problem == f"localhost:{port} does not answer"
        server.close()
        await server.wait_closed()


async def test_no_proxy_is_used(
    service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    sent = await send(f"{service.origin}{SECRET}", service.host)
    assert sent.outcome is PushOutcome.SENT


def test_a_request_is_one_line() -> None:
    asked = SendPush(endpoint="https://a/b", authorization="x" * 1500, body=bytes(4096))
    assert len(msgspec.json.encode(asked)) < 16 * 1024
