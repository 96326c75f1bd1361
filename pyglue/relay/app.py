"""The path of a request through the relay, from an agent to the model and back.

A request is read completely (``bodies``), judged (``request``), paid for in advance
(``ledger``) and sent as a new one (``exchange``); the answer is streamed back while
``meter`` counts. However it ends, it is settled. Refusals have the format of the API's
own errors (``refusal``). No body is stored or logged.
"""

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from pyglue.api.relay import SettleParams
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits
from pyglue.models.catalogue import Tokens
from pyglue.relay.bodies import Bodies, read, size_of
from pyglue.relay.exchange import Exchange, Outcome
from pyglue.relay.ledger import Ledger
from pyglue.relay.link import Link, place
from pyglue.relay.listener import Listener, Share, open_listener
from pyglue.relay.refusal import refusal
from pyglue.relay.request import Checked, check
from pyglue.relay.upstream import COUNT, MESSAGES, Upstream

_QUERIES: Final = ("", "beta=true")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Paid:
    """A request that may be sent, and its reservation."""

    agent: str
    checked: Checked
    reservation: int
    account: str


class Relay:
    """Serves the agents' sockets. Create it inside the running loop."""

    def __init__(
        self,
        config: HiveConfig,
        *,
        attached: Callable[[], object] = lambda: None,
        limits: RelayLimits | None = None,
    ) -> None:
        """``attached`` is called each time hived has sent the policies of all agents.

        Raises:
            HiveError: ``config_invalid`` if the model's address is invalid.
        """
        self._limits = limits or RelayLimits()
        accounts = config.relay.accounts
        self._upstreams = {name: Upstream(one, name) for name, one in accounts.items()}
        self._models = config.catalogue
        self.link = Link(
            place=place(config.layout),
            serve=self._open,
            drop=self._shut,
            cut=self._cut,
            attached=attached,
        )
        self._ledger = Ledger(self.link, count=self._count, limits=self._limits)
        self._bodies = Bodies(self._limits)
        self._share = Share(self._limits)
        self._listeners: dict[str, list[Listener]] = {}
        self._running: Counter[str] = Counter()
        self._exchanges: set[asyncio.Task[web.StreamResponse]] = set()
        self._settling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close every listener, settle interrupted requests, disconnect."""
        await asyncio.gather(*(self._shut(agent) for agent in list(self._listeners)))
        for task in self._exchanges:
            task.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)
        if self._settling:
            await asyncio.wait(self._settling, timeout=0.5)
        await asyncio.gather(*(one.close() for one in self._upstreams.values()))

    # --- listeners --------------------------------------------------------------------

    async def _open(self, agent: str, listener: socket.socket) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._answer(agent, request)

        fresh = open_listener(listener, answer, limits=self._limits, share=self._share)
        old = self._listeners.get(agent, [])
        for one in old:
            one.retire()
        self._listeners[agent] = [*(one for one in old if one.is_busy), fresh]
        self._share.agents = len(self._listeners)

    async def _shut(self, agent: str) -> None:
        listeners = self._listeners.pop(agent, [])
        self._share.agents = len(self._listeners)
        await asyncio.gather(*(one.shut() for one in listeners))
        self._bodies.forget(agent)
        self._ledger.forget(agent)

    def _cut(self, agent: str) -> None:
        for one in self._listeners.get(agent, ()):
            one.cut()

    # --- requests ---------------------------------------------------------------------

    async def _answer(self, agent: str, request: web.BaseRequest) -> web.StreamResponse:
        with contextlib.ExitStack() as taken:
            try:
                self._enter(agent, taken)
                return await self._route(agent, request, taken)
            except HiveError as error:
                _log.info("%s: %s: %s", agent, error.code, error)
                return refusal(error)

    def _enter(self, agent: str, taken: contextlib.ExitStack) -> None:
        if self._running[agent] >= self._limits.requests:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"{self._limits.requests} requests of this agent are already running; "
                "wait for one to finish.",
            )
        self._running[agent] += 1
        taken.callback(self._leave, agent)

    def _leave(self, agent: str) -> None:
        self._running[agent] -= 1
        if not self._running[agent]:
            del self._running[agent]

    async def _route(
        self, agent: str, request: web.BaseRequest, taken: contextlib.ExitStack
    ) -> web.StreamResponse:
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        if request.method == "HEAD" and path == "/":
            return web.Response()
        known = path in (MESSAGES, COUNT) and query in _QUERIES
        if request.method != "POST" or not known:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"Only POST {MESSAGES} and POST {COUNT} are forwarded.",
            )
        upstream = self._upstream(agent)  # without permission, no body is read
        held = await self._bodies.hold(agent, size_of(request, self._limits))
        taken.callback(held.release)
        checked = await self._judged(agent, request, counting=path == COUNT)
        if path == COUNT:
            reservation = await self._ledger.reserve_count(agent, checked)
            body = checked.encoded_to_count()
        else:
            checked, reservation = await self._ledger.reserve(agent, checked)
            body = checked.encoded()
        checked = checked.without_body()
        exchange = Exchange(
            upstream=upstream,
            path=path,
            checked=checked,
            body=body,
            request=request,
            limits=self._limits,
            sent=held.release,
        )
        del body
        paid = _Paid(
            agent=agent,
            checked=checked,
            reservation=reservation,
            account=upstream.account,
        )
        return await self._run(paid, exchange, taken.pop_all())

    def _upstream(self, agent: str) -> Upstream:
        """Return the way to the model that the agent's account pays for.

        Raises:
            HiveError: ``unavailable`` if it may not use the model, or has no account
            here.
        """
        name = self.link.policy(agent).account
        found = self._upstreams.get(name)
        if found is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"The relay has no account {name[:40]!a}. Notify the operator.",
            )
        return found

    async def _count(self, agent: str, checked: Checked) -> int | None:
        return await self._upstream(agent).count(checked)

    async def _judged(
        self, agent: str, request: web.BaseRequest, *, counting: bool
    ) -> Checked:
        betas = request.headers.getall("anthropic-beta", [])
        raw = await read(request, self._limits)
        policy = self.link.policy(agent)

        def judge() -> Checked:
            return check(
                raw,
                betas,
                policy,
                counting=counting,
                limits=self._limits,
                models=self._models,
            )

        return await self._bodies.parse(agent, len(raw), judge)

    async def _run(
        self, paid: _Paid, exchange: Exchange, taken: contextlib.ExitStack
    ) -> web.StreamResponse:
        """Run an exchange; it continues, and is settled, if the client disconnects."""

        def over(task: asyncio.Task[web.StreamResponse]) -> None:
            self._exchanges.discard(task)
            taken.close()
            if not task.cancelled():
                task.exception()  # its client may have disconnected
            self._settle(paid, exchange.outcome())

        task = asyncio.create_task(exchange.run())
        self._exchanges.add(task)
        task.add_done_callback(over)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            exchange.leave()
            raise

    def _settle(self, paid: _Paid, outcome: Outcome) -> None:
        """Report the usage to hived, even if the agent has disconnected."""
        checked = paid.checked
        tokens = outcome.tokens if checked.is_billed else None
        cost = 0.0
        if tokens is not None:
            cost = checked.model.cost_usd(tokens) + checked.bound.fee_usd
        used = tokens or Tokens()
        params = SettleParams(
            reservation=paid.reservation,
            cost_usd=cost,
            status=outcome.status,
            input_tokens=used.input,
            output_tokens=used.output,
            cache_read_tokens=used.cache_read,
            cache_write_tokens=used.cache_write,
            retry_after_s=outcome.wait_s,
            windows=outcome.windows,
            account=paid.account,
        )
        task = asyncio.create_task(self._ledger.settle(paid.agent, params))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
