"""Authentication of the operator: one-time codes, sessions, and callers' uids.

The CLI gets a code, which hive-web exchanges once for a session whose token is in the
browser's cookie. Only hashes are stored. Without a valid session, hive-web's user may
only call ``login``, so a compromised hive-web cannot approve.
If hive-web has no user of its own (local mode, not root), it is recognized by the
client name in its hello; such callers are the operator's own processes anyway.
"""

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.common import HelloParams, NoParams
from pyglue.api.logins import (
    LoginCodeResult,
    LoginParams,
    LoginResult,
    LogoutParams,
    WebOriginResult,
    digest_of,
    name_of,
)
from pyglue.api.metrics import MetricsTokenParams, MetricsTokenResult
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.api import origin
from pyglue.host.core.audit import Audit
from pyglue.jsonrpc import Connection
from pyglue.limits import LOGIN_LINK_S, SESSION_S
from pyglue.store import logins
from pyglue.store.database import Store
from pyglue.store.logins import LoginKind, Span

WEB_CLIENT: Final = "hive-web"
_DAY_S: Final = 86400.0


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A caller on the operator's socket; ``name`` goes into the audit log."""

    name: str
    web: bool
    session: bool
    metrics: bool = False
    """Whether it has only the token of ``/metrics``."""


@dataclass(kw_only=True)
class Sessions:
    """Creates login codes, exchanges them for sessions, and checks sessions."""

    store: Store
    config: HiveConfig
    audit: Audit
    _live: dict[str, Span] = field(default_factory=dict, init=False)
    _metrics: frozenset[str] = field(default=frozenset(), init=False)

    async def load(self) -> None:
        """Read the valid sessions; ensure that the dashboard's name is stored."""
        with contextlib.suppress(HiveError):  # every request for it reports the error
            await self.origin(NoParams())
        now = time.time()
        self._live = await self.store.read(lambda reader: logins.sessions(reader, now))
        self._metrics = await self.store.read(logins.metrics)

    def caller(self, connection: Connection, hello: HelloParams) -> Caller:
        """Identify the caller.

        Raises:
            HiveError: ``forbidden`` for a user that must not act as the operator,
                ``unauthenticated`` for an invalid session.
        """
        ids = self.config.ids
        uid = connection.peer_uid
        from_web = hello.client == WEB_CLIENT or hello.session is not None
        if ids is not None:
            from_web = from_web or uid == ids.web
            if uid is not None and (ids.is_agent(uid) or ids.is_outside(uid)):
                raise HiveError(
                    ErrorCode.FORBIDDEN, "This user may not act as the operator."
                )
        if not from_web:
            return Caller(name=f"cli uid {uid}", web=False, session=True)
        if hello.session is None:
            return Caller(name="hive-web", web=True, session=False)
        digest = _digest(hello.session)
        if digest in self._metrics:
            return Caller(name="metrics", web=True, session=False, metrics=True)
        digest = self._digest(hello.session)
        if not self._is_live(digest):
            raise HiveError(
                ErrorCode.UNAUTHENTICATED,
                "This session has ended. Run `hive login` for a new link.",
            )
        return Caller(name=name_of(digest), web=True, session=True)

    def alive(self, session: str) -> bool:
        """Return whether a session's token is currently valid."""
        return self._is_live(self._digest(session))

    def _is_live(self, digest: str) -> bool:
        """Check the span so that setting the clock back cannot extend a session."""
        span = self._live.get(digest)
        longest_s = max(SESSION_S, self._trusted_s)
        return span is not None and span.has(time.time(), longest_s)

    @property
    def _trusted_s(self) -> float:
        """Return how many seconds a trusted browser's session lasts; 0: not allowed."""
        return self.config.web.trusted_days * _DAY_S

    def _digest(self, token: str) -> str:
        """Return the stored hash of a code or session, valid for this listener only.

        While nothing listens on the dashboard's port, any process that binds it would
        receive the cookies of the operator's open tabs.
        """
        return digest_of(self.config.web.run, token)

    async def origin(self, _params: NoParams) -> WebOriginResult:
        """Return the dashboard's address.

        Raises:
            HiveError: ``unavailable`` if its name cannot be stored.
        """
        try:
            found = await asyncio.to_thread(origin.dashboard, self.config)
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "Cannot store the dashboard's name in the state directory: "
                f"{error.strerror}.",
            ) from error
        return WebOriginResult(origin=found)

    async def mint_code(self, by: str) -> LoginCodeResult:
        """Create a one-time code and its login link."""
        site = (await self.origin(NoParams())).origin
        code = secrets.token_urlsafe(32)
        digest = self._digest(code)
        expires_at = time.time() + LOGIN_LINK_S
        await self.store.write(
            lambda tx: logins.insert(tx, LoginKind.CODE, digest, expires_at)
        )
        self.audit.record(by, "login_code", None, {})
        url = f"{site}/login?code={code}"
        return LoginCodeResult(code=code, url=url, expires_at=expires_at)

    async def login(self, params: LoginParams) -> LoginResult:
        """Exchange a code for a session.

        Raises:
            HiveError: ``unauthenticated`` for a used, expired or unknown code,
                ``forbidden`` for a trusted browser if the host allows none; the code
                stays valid then.
        """
        if params.trusted and not self._trusted_s:
            raise HiveError(
                ErrorCode.FORBIDDEN,
                "Trusted browsers are disabled: "
                "services.hyperhive.dashboard.trustedDays is 0.",
            )
        used = await self.store.write(
            lambda tx: logins.take(tx, LoginKind.CODE, self._digest(params.code))
        )
        if not used:
            raise HiveError(
                ErrorCode.UNAUTHENTICATED,
                "This link has expired or was already used. Run `hive login` for a "
                "new one.",
            )
        token = secrets.token_urlsafe(32)
        digest = self._digest(token)
        created_at = time.time()
        lasts_s = self._trusted_s if params.trusted else SESSION_S
        expires_at = created_at + lasts_s
        await self.store.write(
            lambda tx: logins.insert(tx, LoginKind.SESSION, digest, expires_at)
        )
        self._live[digest] = Span(created_at=created_at, expires_at=expires_at)
        data = {"trusted_days": self.config.web.trusted_days} if params.trusted else {}
        self.audit.record(name_of(digest), "login", None, data)
        return LoginResult(session=token, expires_at=expires_at)

    async def metrics_token(
        self, params: MetricsTokenParams, by: str
    ) -> MetricsTokenResult:
        """Issue a new token for ``/metrics``, or none; revokes the old one."""
        token = "" if params.revoke else secrets.token_urlsafe(32)
        digest = _digest(token) if token else None
        await self.store.write(lambda tx: logins.set_metrics(tx, digest))
        self._metrics = frozenset(filter(None, [digest]))
        self.audit.record(by, "metrics_token", None, {"revoked": params.revoke})
        return MetricsTokenResult(token=token)

    async def logout(self, params: LogoutParams) -> None:
        """End a session; do nothing if it has already ended."""
        digest = self._digest(params.session)
        self._live.pop(digest, None)
        await self.store.write(lambda tx: logins.take(tx, LoginKind.SESSION, digest))
        self.audit.record(name_of(digest), "logout", None, {})


def _digest(secret: str) -> str:
    return digest_of("", secret)
