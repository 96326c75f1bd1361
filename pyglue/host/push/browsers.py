"""The browsers that get notifications: subscribed by the operator, kept in a file.

``web-push.json`` of the state directory, which only hived can read, has the hive's key
and each browser's subscription. It is in no backup: a restored hive has a new key, and
browsers subscribe again.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct

from pyglue import strict_json
from pyglue.api.notify import PushOutcome, SendPush, SentPush
from pyglue.api.push import (
    BrowserView,
    Note,
    PushBrowser,
    PushRemoveParams,
    PushSubscribeParams,
)
from pyglue.config import HiveConfig, origin
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.replace import write_file
from pyglue.host.core.audit import Audit
from pyglue.host.push.seal import Receiver, Sealer, decoded, encoded, seal
from pyglue.net import push_endpoints
from pyglue.text.display import visible

MOST: Final = 20
_BROWSER_MAX: Final = 200


class Browser(Struct, frozen=True, kw_only=True):
    """A stored subscription."""

    id: int
    endpoint: str
    p256dh: str
    auth: str
    browser: str
    by: str
    since_at: float


class _Kept(Struct, frozen=True, kw_only=True):
    key: str
    last: int = 0
    """The highest number that a browser has had: none is used again."""
    browsers: tuple[Browser, ...] = ()


@dataclass(frozen=True)
class _News:
    """The outcome of the newest notification to a browser."""

    sent_at: float | None = None
    problem: str | None = None


@dataclass(kw_only=True)
class Browsers:
    """Subscribes, lists and removes for the operator; seals for the notifier."""

    config: HiveConfig
    audit: Audit
    changed: Callable[[], None]
    """Called when browsers were added or removed."""
    _sealer: Sealer = field(init=False)
    _last: int = field(default=0, init=False)
    _all: dict[int, Browser] = field(default_factory=dict, init=False)
    _news: dict[int, _News] = field(default_factory=dict, init=False)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self) -> None:
        """Read the file; the first time, make the key. Blocking.

        Raises:
            HiveError: ``config_invalid`` if the file is damaged.
            OSError: it cannot be read or written.
        """
        file, kept = self.config.layout.web_push, None
        with suppress(FileNotFoundError):
            kept = strict_json.read(
                file.read_bytes(),
                _Kept,
                what=f"file {file}",
                code=ErrorCode.CONFIG_INVALID,
            )
        if kept is None:
            self._sealer = Sealer()
            self._write({})
            return
        try:
            self._sealer = Sealer(decoded(kept.key, "key"))
        except (HiveError, ValueError):
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"The key in {file} is damaged: remove the file and restart hived. "
                "Browsers have to subscribe again.",
            ) from None
        self._all = {one.id: one for one in kept.browsers}
        self._last = kept.last

    @property
    def key(self) -> str:
        """Return the hive's public key, which browsers subscribe with."""
        return self._sealer.public

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the browsers' numbers."""
        return tuple(self._all)

    def views(self) -> tuple[BrowserView, ...]:
        """Return all, oldest first, without endpoints and keys."""
        return tuple(
            BrowserView(
                id=one.id,
                browser=one.browser,
                service=push_endpoints.read(one.endpoint).host.name,
                by=one.by,
                since_at=one.since_at,
                sent_at=self._news.get(one.id, _News()).sent_at,
                problem=self._news.get(one.id, _News()).problem,
            )
            for one in self._all.values()
        )

    async def subscribe(self, params: PushSubscribeParams, by: str) -> PushBrowser:
        """Add a browser, or replace its subscription.

        Raises:
            HiveError: ``bad_request`` or ``forbidden`` for an endpoint; ``too_many``;
                ``unavailable`` if it cannot be stored.
        """
        endpoint = push_endpoints.read(params.endpoint)
        before = push_endpoints.read(params.replaces).url if params.replaces else ""
        private_hosts = self.config.notify.web_push.private_hosts
        push_endpoints.check(endpoint.host, private_hosts)
        Receiver.read(params.p256dh, params.auth)
        async with self._writing:
            known = self._with(endpoint.url) or self._with(before)
            if known is None and len(self._all) >= MOST:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"{MOST} browsers are subscribed, which is the limit: remove one.",
                )
            number = self._last + 1 if known is None else known.id
            made = Browser(
                id=number,
                endpoint=endpoint.url,
                p256dh=params.p256dh,
                auth=params.auth,
                browser=visible(params.browser, limit=_BROWSER_MAX),
                by=by,
                since_at=time.time(),
            )
            await self._put({**self._all, number: made})
        self._news.pop(number, None)
        about = {"browser": number, "service": endpoint.host.name}
        self.audit.record(by, "push_subscribed", None, about)
        return PushBrowser(id=number)

    async def remove(self, params: PushRemoveParams, by: str) -> None:
        """Send a browser nothing more.

        Raises:
            HiveError: ``not_found``; ``unavailable`` if it cannot be kept.
        """
        async with self._writing:
            if params.id not in self._all:
                raise HiveError(
                    ErrorCode.NOT_FOUND,
                    f"No browser {params.id} is subscribed; it may have been removed.",
                )
            await self._put(
                {id_: one for id_, one in self._all.items() if id_ != params.id}
            )
        self._news.pop(params.id, None)
        self.audit.record(by, "push_removed", None, {"browser": params.id})

    def sealed(self, number: int, note: Note) -> SendPush | None:
        """Return what hive-notify is to send; None if the browser is gone."""
        one = self._all.get(number)
        if one is None:
            return None
        endpoint = push_endpoints.read(one.endpoint)
        text = msgspec.json.encode(note)
        now = time.time()
        return SendPush(
            endpoint=endpoint.url,
            authorization=self._sealer.authorization(
                endpoint.origin, self._contact, now
            ),
            body=seal(text, Receiver.read(one.p256dh, one.auth)),
        )

    async def sent(self, number: int, outcome: SentPush) -> None:
        """Record the outcome of a notification; remove a browser that is gone."""
        if number not in self._all:
            return
        if outcome.outcome is PushOutcome.GONE:
            with suppress(HiveError):
                await self.remove(PushRemoveParams(id=number), "hived")
            return
        before = self._news.get(number, _News())
        at = before.sent_at if outcome.problem else time.time()
        self._news[number] = _News(at, outcome.problem)

    @property
    def _contact(self) -> str | None:
        base = origin.configured(self.config.web)
        if self.config.notify.web_push.contact is not None:
            return self.config.notify.web_push.contact
        return base if base is not None and base.startswith("https://") else None

    def _with(self, endpoint: str) -> Browser | None:
        found = [one for one in self._all.values() if one.endpoint == endpoint]
        return found[0] if found else None

    async def _put(self, browsers: dict[int, Browser]) -> None:
        try:
            await asyncio.to_thread(self._write, browsers)
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"Cannot store the subscriptions: {error.strerror}.",
            ) from error
        self._all = browsers
        self._last = max((self._last, *browsers))
        self.changed()

    def _write(self, browsers: dict[int, Browser]) -> None:
        kept = _Kept(
            key=encoded(self._sealer.number),
            last=max((self._last, *browsers)),
            browsers=tuple(browsers.values()),
        )
        write_file(
            self.config.layout.web_push, msgspec.json.encode(kept) + b"\n", mode=0o600
        )
