"""Requests to the model's API, with our own headers: the only way out.

Of an agent's headers, only betas from the list are forwarded. The key or token is read
from its file for each request, so a new one takes effect at once, and is written
nowhere. Redirects are not followed, cookies are not kept, answers are not compressed
(the meter reads them while they stream).
"""

import asyncio
import ipaddress
import logging
import re
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from pyglue import strict_json
from pyglue.api.common import DEFAULT_ACCOUNT
from pyglue.config import Account, Credential
from pyglue.errors import ErrorCode, HiveError
from pyglue.redaction.response_mask import Mask
from pyglue.relay.refusal import unreachable
from pyglue.relay.request import Checked

HIDDEN: Final = b"(API key)"
"""What an answer has in place of the key."""
MESSAGES: Final = "/v1/messages"
COUNT: Final = "/v1/messages/count_tokens"

_VERSION: Final = "2023-06-01"
_OAUTH_BETA: Final = "oauth-2025-04-20"
"""Sent along with a subscription's token, as other clients of the API do."""
_BEARER: Final = "Bearer "
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=600)
_NAMES: Final = {
    Credential.API_KEY: "API key",
    Credential.SUBSCRIPTION: "subscription token",
    Credential.GATEWAY: "gateway token",
}
_OAUTH_PREFIX: Final = "sk-ant-oat"
_API_PREFIX: Final = "sk-ant-api"
_PASSED: Final = frozenset({"request-id", "retry-after"})
_PASSED_PREFIX: Final = "anthropic-ratelimit-"
_HEADERS_MAX: Final = 32
_PLAIN: Final = re.compile(r"[\x20-\x7e]{1,256}")
_CHUNK: Final = 64 * 1024
_COUNT_S: Final = 30.0
_COUNT_MAX: Final = 4096

_log = logging.getLogger(__name__)

Sent = AbstractAsyncContextManager[aiohttp.ClientResponse]


class _Counted(msgspec.Struct):
    input_tokens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Upstream:
    """Sends requests to the provider. Create it inside the running loop."""

    def __init__(self, config: Account, name: str = DEFAULT_ACCOUNT) -> None:
        """Set the model's address, and the account's name.

        Raises:
            HiveError: ``config_invalid`` for an address that must not get the key.
        """
        self._url = _checked_url(config.upstream_url)
        self._key_file = config.api_key_file
        self._credential = config.credential
        self.account = name
        self.is_subscription = config.credential is Credential.SUBSCRIPTION
        self._client = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    def send(
        self, path: str, checked: Checked, body: AsyncIterable[bytes], length: int
    ) -> Sent:
        """Send a request to ``path``.

        Raises:
            HiveError: ``unauthenticated`` if there is no key to send.
        """
        headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "anthropic-version": _VERSION,
            "content-length": str(length),
            "content-type": "application/json",
            "user-agent": "hyperhive-relay",
        }
        betas = checked.betas
        if self._credential is Credential.API_KEY:
            headers["x-api-key"] = self._key()
        else:
            headers["authorization"] = _BEARER + self._key()
        if self._credential is Credential.SUBSCRIPTION:
            betas = (*betas, _OAUTH_BETA)
        if betas:
            headers["anthropic-beta"] = ",".join(betas)
        return self._client.post(
            f"{self._url}{path}?beta=true",
            data=body,
            headers=headers,
            allow_redirects=False,
        )

    async def count(self, checked: Checked) -> int | None:
        """Return the provider's count of tokens in a request; None if unknown."""
        body = checked.encoded_to_count()

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), _CHUNK):
                yield body[start : start + _CHUNK]

        try:
            async with asyncio.timeout(_COUNT_S):
                async with self.send(COUNT, checked, chunks(), len(body)) as answer:
                    raw = await whole(answer, _COUNT_MAX)
                    counted = strict_json.read(raw, _Counted).input_tokens
                    return counted if answer.status == 200 else None
        except (HiveError, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.info("could not count a request: %s", type(error).__name__)
            return None

    def _key(self) -> str:
        name = _NAMES[self._credential]
        if self._key_file is None:
            raise _no_key(f"no {name} is configured")
        try:
            key = Path(self._key_file).read_text("ascii").strip()
        except OSError as error:
            reason = (error.strerror or "I/O error").lower()
            raise _no_key(f"cannot read the {name} ({reason})") from error
        except UnicodeDecodeError:
            raise _no_key(f"the {name}'s file does not contain one") from None
        if not key or not key.isprintable() or " " in key:
            raise _no_key(f"the {name}'s file does not contain exactly one")
        wrong = _mistaken(self._credential, key)
        if wrong is not None:
            raise _no_key(wrong)
        return key


def _mistaken(credential: Credential, key: str) -> str | None:
    """Recognise the wrong kind of credential in a file by Anthropic's prefixes."""
    is_oauth = key.startswith(_OAUTH_PREFIX)
    if credential is Credential.API_KEY and is_oauth:
        return (
            "the API key's file contains a subscription's token; configure it as "
            "oauthTokenFile (CLAUDE_CODE_OAUTH_TOKEN)"
        )
    if credential is Credential.SUBSCRIPTION and key.startswith(_API_PREFIX):
        return (
            "the subscription token's file contains an API key; configure it as "
            "apiKeyFile (ANTHROPIC_API_KEY)"
        )
    return None


def passed_on(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the headers of an answer that an agent may see.

    Values that contain the key are left out.
    """
    key = _key_of(answer)
    seen = {
        name: value
        for name, value in answer.headers.items()
        if (name.lower() in _PASSED or name.lower().startswith(_PASSED_PREFIX))
        and _PLAIN.fullmatch(name)
        and _PLAIN.fullmatch(value)
        and key not in value
    }
    kept = dict(list(seen.items())[:_HEADERS_MAX])
    return kept | {"content-type": answer.content_type}


async def whole(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return a short answer. Gateways repeat the key in errors, so it is masked.

    Raises:
        HiveError: ``upstream_failed`` if it is longer than ``limit``.
    """
    body = bytearray()
    async for data in answer.content.iter_any():
        body += data
        if len(body) > limit:
            raise unreachable(f"a response of more than {limit} bytes")
    mask = mask_of(answer)
    return mask.feed(bytes(body)) + mask.end()


def mask_of(answer: aiohttp.ClientResponse) -> Mask:
    """Return the mask for the key with which ``answer`` was requested."""
    return Mask({_key_of(answer).encode(): HIDDEN})


def _key_of(answer: aiohttp.ClientResponse) -> str:
    sent = answer.request_info.headers
    return sent.get("x-api-key") or sent["authorization"].removeprefix(_BEARER)


def _no_key(what: str) -> HiveError:
    return HiveError(
        ErrorCode.UNAUTHENTICATED,
        f"The relay has no access to the model: {what}. Notify the operator.",
    )


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url.rstrip("/")
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return url.rstrip("/")
    raise HiveError(
        ErrorCode.CONFIG_INVALID,
        "relay.upstream_url must begin with https:// (http:// only for loopback): "
        "the API key or token is sent there.",
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
