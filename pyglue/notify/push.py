"""Sends encrypted notifications to push services, at addresses supplied by browsers.

Only https is used, and only names whose addresses are all public, except for hosts in
the operator's configuration. A name is resolved once per connection, so the checked
addresses are the ones connected to. Redirects are not followed, no cookie is stored, no
proxy is used, and only the status and one header of a response are read.
"""

import ipaddress
import logging
import socket
import ssl
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from pyglue.api.notify import PushOutcome, SendPush, SentPush
from pyglue.config import WebPushConfig
from pyglue.errors import HiveError
from pyglue.net import hosts, push_endpoints
from pyglue.net.addresses import is_ours, is_public

TTL_S: Final = 86400
"""How long a push service keeps it for an offline browser, in seconds."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=10)
_AGAIN_MAX_S: Final = 3600.0
_GONE: Final = frozenset({404, 410})
_LATER: Final = frozenset({408, 425, 429})
_log = logging.getLogger(__name__)


class _NotPublicError(OSError):
    """A name has an address that is not public."""


class _Public(AbstractResolver):
    """Resolves names, and refuses those with an address that is not public."""

    def __init__(self) -> None:
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name."""
        found = await self._names.resolve(host, port, family)
        for one in found:
            address = ipaddress.ip_address(one["host"].partition("%")[0])
            if not is_public(address) or is_ours(address):
                raise _NotPublicError
        return found

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""


class Pusher:
    """Sends to push services. Create it inside the running loop."""

    def __init__(self, config: WebPushConfig) -> None:
        self._private_hosts = config.private_hosts
        self._public = _session(_Public())
        self._private = _session(ThreadedResolver())

    async def close(self) -> None:
        """Close every connection."""
        await self._public.close()
        await self._private.close()

    async def send(self, asked: SendPush) -> SentPush:
        """Send one notification, and return its outcome."""
        try:
            endpoint = push_endpoints.read(asked.endpoint)
            push_endpoints.check(endpoint.host, self._private_hosts)
        except HiveError as error:
            return SentPush(outcome=PushOutcome.REFUSED, problem=error.message)
        host = endpoint.host
        is_named = hosts.allows(self._private_hosts, host)
        session = self._private if is_named else self._public
        headers = {
            "authorization": asked.authorization,
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(TTL_S),
            # Only what needs the operator is sent, so a phone should show it at once.
            "urgency": "high",
            "user-agent": "hyperhive",
        }
        try:
            async with session.post(
                endpoint.url, data=asked.body, headers=headers, allow_redirects=False
            ) as answer:
                sent = _judged(answer, str(host))
                answer.close()  # the body is not read
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, _NotPublicError):
                refused = f"{host} has an address that is not public"
                return SentPush(outcome=PushOutcome.REFUSED, problem=refused)
            return _failed(f"{host} has no address")
        except aiohttp.ClientConnectorCertificateError:
            return _failed(f"{host} has an invalid certificate")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.info("a push service failed: %s", type(error).__name__)
            return _failed(f"{host} does not answer")
        return sent


def _session(resolver: AbstractResolver) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=_TIMEOUT,
        connector=aiohttp.TCPConnector(
            resolver=resolver,
            use_dns_cache=False,
            force_close=True,
            ssl=ssl.create_default_context(),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )


def _judged(answer: aiohttp.ClientResponse, host: str) -> SentPush:
    status = answer.status
    if 200 <= status < 300:
        return SentPush(outcome=PushOutcome.SENT)
    if status in _GONE:
        problem = f"{host} no longer knows the subscription"
        return SentPush(outcome=PushOutcome.GONE, problem=problem)
    problem = f"{host} answered with status {status}"
    if status in _LATER or status >= 500:
        return _failed(problem, _asked_to_wait(answer.headers.get("retry-after", "")))
    return SentPush(outcome=PushOutcome.REFUSED, problem=problem)


def _failed(problem: str, again_s: float = 0.0) -> SentPush:
    return SentPush(outcome=PushOutcome.FAILED, problem=problem, again_s=again_s)


def _asked_to_wait(text: str) -> float:
    """Return the seconds of ``Retry-After``; a date is ignored."""
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return min(float(text), _AGAIN_MAX_S) if is_number else 0.0
