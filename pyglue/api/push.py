"""External notifications as the operator sees them, and subscribed browsers.

The calls are declared in ``operator``; these are their types.
"""

from typing import Annotated

from msgspec import Meta, Struct

from pyglue.api.common import Id, Params, Result
from pyglue.api.notify import NotifyEvent
from pyglue.net.push_endpoints import LENGTH_MAX


class BrowserView(Result, frozen=True):
    """A subscribed browser.

    ``browser`` is its own description when it subscribed, ``service`` the host of its
    push service. ``sent_at`` is the time of the last notification since hived started,
    and ``problem`` why the newest could not be sent.
    """

    id: int
    browser: str
    service: str
    by: str
    since_at: float
    sent_at: float | None = None
    problem: str | None = None


class NotificationsResult(Result, frozen=True):
    """The external notifications, their destinations and their status.

    ``places``: whether there is a file with URLs. ``web_push``: whether browsers can
    subscribe. ``pending`` counts unsent notifications; ``problem`` is why the newest
    was not sent.
    """

    places: bool
    web_push: bool
    events: tuple[NotifyEvent, ...]
    quiet_hours: str | None
    pending: int
    problem: str | None
    browsers: tuple[BrowserView, ...]


class Note(Struct, frozen=True, kw_only=True):
    """A notification for a service worker; ``path`` is a page of the dashboard.

    It replaces one with the same ``tag``.
    """

    title: str
    path: str
    tag: str


class PushSubscribeParams(Params, frozen=True):
    """A browser's subscription from its Push API, and the browser's name."""

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
    """A browser to unsubscribe."""

    id: Id
