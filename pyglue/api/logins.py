"""Login codes and sessions of the operator's browsers.

The calls are declared in ``operator``; these are their types.
"""

import hashlib
import os
from typing import Annotated

from msgspec import Meta

from pyglue.api.common import Params, Result


def digest_of(run: str, token: str) -> str:
    """Return the stored form of a code or session: a digest."""
    return hashlib.sha256(os.fsencode(f"{run}{token}")).hexdigest()


def name_of(digest: str) -> str:
    """Return the name of a session for records, which does not reveal its token."""
    return f"session {digest[:8]}"


def session_name(run: str, token: str) -> str:
    """Return the name of ``token``'s session."""
    return name_of(digest_of(run, token))


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
    trusted: bool = False
    """Whether to trust the browser: the session lasts as long as the configuration
    allows."""


class LoginResult(Result, frozen=True):
    """The session's token (kept in the cookie) and when it ends."""

    session: str
    expires_at: float


class LogoutParams(Params, frozen=True):
    """End a session."""

    session: Annotated[str, Meta(max_length=256)]
