"""Codes and sessions: how a browser becomes the operator's.

``operator`` names the calls; these are their types.
"""

from typing import Annotated

from msgspec import Meta

from pyglue.api.common import Params, Result


class LoginCodeResult(Result, frozen=True):
    """A one-time code; open ``url`` before ``expires_at``."""

    code: str
    url: str
    expires_at: float


class WebOriginResult(Result, frozen=True):
    """The dashboard's address in browsers, such as ``https://hive.example``."""

    origin: str


class LoginParams(Params, frozen=True):
    """Exchange a one-time code for a session."""

    code: Annotated[str, Meta(max_length=256)]


class LoginResult(Result, frozen=True):
    """The session's token (kept in the cookie) and when it ends."""

    session: str
    expires_at: float


class LogoutParams(Params, frozen=True):
    """End a session."""

    session: Annotated[str, Meta(max_length=256)]
