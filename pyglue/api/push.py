"""Notifications outside as the operator sees them, and browsers that subscribe.

The calls are declared in ``operator``; these are their types.
"""

from typing import Annotated

from msgspec import Meta, Struct

from pyglue.api.common import Id, Params, Result
from pyglue.api.notify import NotifyEvent
from pyglue.net.push_endpoints import LENGTH_MAX


class BrowserView(Result, frozen=True):
    """A browser that gets notifications.

    ``browser`` is how it described itself when it subscribed, ``service`` the host of
    its push service. ``sent_at`` is when hived last sent it one since it started, and
    ``problem`` why the newest could not be sent.
    """

    id: int
    browser: str
    service: str
    by: str
    since_at: float
    sent_at: float | None = None
    problem: str | None = None


class NotificationsResult(Result, frozen=True):
    """What leaves the dashboard, to where, and whether it does.

    ``places``: whether there is a file with URLs. ``web_push``: whether browsers can
    subscribe. ``pending`` are still to be sent; ``problem`` is why the newest was not.
    """

    places: bool
    web_push: bool
    events: tuple[NotifyEvent, ...]
    quiet_hours: str | None
    pending: int
    problem: str | None
    browsers: tuple[BrowserView, ...]


class Note(Struct, frozen=True, kw_only=True):
    """A notification as a service worker gets it; ``path`` is a page of the dashboard.

    It replaces one with the same ``tag``.
    """

    title: str
    path: str
    tag: str


class PushSubscribeParams(Params, frozen=True):
    """A browser's subscription, as its Push API gives it, and how it calls itself."""

    endpoint: Annotated[str, Meta(max_length=LENGTH_MAX)]
    p256dh: Annotated[str, Meta(max_length=128)]
    auth: Annotated[str, Meta(max_length=32)]
    browser: Annotated[str, Meta(max_length=300)]
    replaces: Annotated[str, Meta(max_length=LENGTH_MAX)] = ""
    """The endpoint that the browser had before, if its push service changed it."""


class PushBrowser(Result, frozen=True):
    """The number of a browser."""

    id: int


class PushRemoveParams(Params, frozen=True):
    """A browser that is to get nothing more."""

    id: Id
