"""A hived for the dashboard's tests: the real operator socket with canned data.

It speaks the real protocol through ``pyglue.jsonrpc.serve`` in a thread, keeps what
it was asked in ``calls``, and refuses as hived does: sessions, stale approvals,
second decisions. Tests change its lists directly and ``emit`` events.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from checks.kits.api.events import raw
from checks.kits.patience import PATIENCE_S
from checks.kits.web.answers import Answers
from pyglue.api import operator as api
from pyglue.api.common import (
    PROTOCOL,
    Done,
    HelloParams,
    HelloResult,
    NoParams,
    Role,
)
from pyglue.api.events import Event, GapParams, SubscribeParams, SubscribeResult
from pyglue.api.live_text import LiveTextFollowParams, LiveTextParams, Writing
from pyglue.api.logins import (
    LoginParams,
    LoginResult,
    LogoutParams,
    WebOriginResult,
)
from pyglue.api.metrics import (
    MetricsResult,
    Total,
)
from pyglue.config import origin
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import Connection, Handlers, Server, serve

NAME: Final = "5ec2e7" + 26 * "0"
"""What the dashboard of a fake hive is called below ``localhost``."""


class FakeHive(Answers):
    """Canned data behind a real socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.port = 7000
        """The dashboard's; its name is the same for all."""
        self.subscribers: list[Connection] = []
        self.watchers: dict[Connection, str] = {}
        """Who follows what an agent's model writes."""
        super().__init__(socket.parent)
        self._loop = asyncio.new_event_loop()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def reset(self) -> None:
        """Forget what tests did; connections and the count of events stay."""
        super().reset()
        self.calls: list[tuple[str, object]] = []
        self.sessions: set[str] = set()
        self.metrics_token = "metrics-" + secrets.token_urlsafe(32)
        self.codes: set[str] = set()
        self.overrides: dict[str, Callable[[Any], Awaitable[Any]]] = {}

    # --- for tests --------------------------------------------------------------

    def new_session(self) -> str:
        """Return the token of a fresh session."""
        token = secrets.token_urlsafe(32)
        self.sessions.add(token)
        return token

    def new_code(self) -> str:
        """Return a fresh one-time code."""
        code = secrets.token_urlsafe(32)
        self.codes.add(code)
        return code

    def called(self, name: str) -> list[Any]:
        """Return the parameters of all calls of one method."""
        return [params for method, params in self.calls if method == name]

    def emit(self, kind: str, agent: str | None = None, /, **fields: Any) -> int:
        """Send an event to every subscriber; returns its seq."""

        async def send() -> int:
            self.seq += 1
            event = Event(
                seq=self.seq, at=time.time(), kind=kind, agent=agent, data=raw(fields)
            )
            self.events.append(event)
            for connection in self.subscribers:
                connection.notify(api.EVENT, event)
            return self.seq

        seq: int = self._run(send())
        return seq

    def writes(self, agent: str, /, turn: int, text: str, kind: str = "text") -> None:
        """Send what an agent's model has written so far to who watches it."""

        async def send() -> None:
            said = LiveTextParams(turn=turn, text=text, kind=Writing(kind))
            for connection, watched in self.watchers.items():
                if watched == agent:
                    connection.notify(api.LIVE_TEXT, said)

        self._run(send())

    def notify_gap(self, reason: str) -> None:
        """Tell every subscriber that events were left out."""

        async def send() -> None:
            for connection in self.subscribers:
                connection.notify(api.GAP, GapParams(seq=self.seq, reason=reason))

        self._run(send())

    def end_session(self, token: str) -> None:
        """End a session as hived does: later hellos are refused."""
        self.sessions.discard(token)

    def drop_connections(self) -> None:
        """Close every connection, as a restart does."""

        async def drop() -> None:
            assert self._server is not None
            for connection in list(self._server.connections):
                connection.close()

        self._run(drop())

    def run(self, work: Any) -> Any:
        """Run a coroutine in the hive's own event loop, for as long as it takes."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    # --- life ---------------------------------------------------------------------

    def start(self) -> None:
        """Listen."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()

        async def listen() -> None:
            self._server = await serve(self.socket, self._session)

        self._run(listen())

    def stop(self) -> None:
        """Stop listening and drop everyone; ``start`` listens again."""

        async def end() -> None:
            assert self._server is not None
            self._server.close()
            self.socket.unlink(missing_ok=True)
            for connection in list(self._server.connections):
                await connection.wait_closed()

        self._run(end())

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join(PATIENCE_S)

    # --- what it answers ------------------------------------------------------------

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        if hello.session is not None and hello.session == self.metrics_token:
            handlers = Handlers()
            self._on(handlers, api.METRICS, self._metrics)
            result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="fake")
            return result, handlers
        if hello.session is not None and hello.session not in self.sessions:
            raise HiveError(
                ErrorCode.UNAUTHENTICATED,
                "This session has ended. Run `hive login` for a new link.",
            )
        handlers = Handlers()
        self._on(handlers, api.LOGIN, self._login)
        handlers.on(api.WEB_ORIGIN, self._origin)  # asked by itself: not counted
        if "webhook" in self.overrides:
            self._on(handlers, api.WEBHOOK, None)
        if hello.session is not None:
            self._all(handlers, connection)
        result = HelloResult(protocol=PROTOCOL, role=Role.OPERATOR, server="fake")
        return result, handlers

    def _on(self, handlers: Handlers, method: Any, fn: Any) -> None:
        async def answer(params: Any) -> Any:
            self.calls.append((method.name, params))
            return await self.overrides.get(method.name, fn)(params)

        handlers.on(method, answer)

    def _all(self, handlers: Handlers, connection: Connection) -> None:
        async def subscribe(params: SubscribeParams) -> SubscribeResult:
            for event in self.events:
                if params.since is not None and event.seq > params.since:
                    asyncio.get_running_loop().call_soon(
                        connection.notify, api.EVENT, event
                    )
            self.subscribers.append(connection)
            connection.on_close(lambda: self.subscribers.remove(connection))
            return SubscribeResult(seq=self.seq)

        async def live_text(params: LiveTextFollowParams) -> Done:
            known = [one.name for one in self.agents]
            if params.agent not in known:
                raise HiveError(ErrorCode.NOT_FOUND, f"There is no {params.agent}.")
            self.watchers[connection] = params.agent
            connection.on_close(partial(self.watchers.__delitem__, connection))
            return Done()

        for method, fn in {
            **self.answers(),
            api.LOGOUT: self._logout,
            api.LIVE_TEXT_FOLLOW: live_text,
            api.SUBSCRIBE: subscribe,
        }.items():
            self._on(handlers, method, fn)

    async def _origin(self, _params: NoParams) -> WebOriginResult:
        return WebOriginResult(origin=self.origin)

    @property
    def origin(self) -> str:
        """The dashboard's address, as hived says it."""
        return origin.named(NAME, self.port)

    def link(self) -> str:
        """Return what ``hive login`` would print."""
        return f"{self.origin}/login?code={self.new_code()}"

    async def _login(self, params: LoginParams) -> LoginResult:
        if params.code not in self.codes:
            raise HiveError(
                ErrorCode.UNAUTHENTICATED,
                "This link has expired or was already used. Run `hive login` again.",
            )
        self.codes.discard(params.code)
        expires_at = time.time() + 3600
        return LoginResult(session=self.new_session(), expires_at=expires_at)

    async def _logout(self, params: LogoutParams) -> Done:
        self.sessions.discard(params.session)
        return Done()

    async def _metrics(self, _params: NoParams) -> MetricsResult:
        total = Total(agent="alice", key="tool:Bash", count=2, total=5, last=2)
        return MetricsResult(
            status=await self._status(NoParams()),
            agents=tuple(self.agents),
            totals=(total, msgspec.structs.replace(total, key="inbox_max")),
        )


@contextlib.contextmanager
def running(socket: Path, *, port: int = 7000) -> Iterator[FakeHive]:
    """Run a fake hive at ``socket``; ``port`` is its dashboard's."""
    hive = FakeHive(socket)
    hive.port = port
    hive.start()
    try:
        yield hive
    finally:
        hive.close()
