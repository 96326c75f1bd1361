"""hived's side of ``relay.sock``: listening descriptors, policies, money.

hived makes every agent's ``model.sock`` and keeps it open, so requests wait in its
backlog while the relay restarts. Money is set aside before a request and settled
after it, in the store, where no agent reaches.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pyglue import wall_clock
from pyglue.api.common import (
    PROTOCOL,
    Done,
    HelloParams,
    HelloResult,
    Role,
)
from pyglue.api.relay import (
    ATTACH,
    DETACH,
    POLICY,
    RESERVE,
    SETTLE,
    AttachParams,
    AttachResult,
    DetachParams,
    ModelPolicy,
    RateWindow,
    ReserveParams,
    ReserveResult,
    SettleParams,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.handover.give import Giver
from pyglue.host.backends.owners import user_of
from pyglue.host.core.agent import Agent
from pyglue.host.core.day_limits import Limit, Limits, limits_of, start_of_day
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.policy.operator_limits import allowed_models
from pyglue.jsonrpc import Connection, Handlers, Server, serve
from pyglue.limits import RELAY_RPC
from pyglue.manifest import PinnedRecord
from pyglue.store import usage
from pyglue.store.database import Store, Tx

_MODE: Final = 0o660
_LOST: Final = 499
_ANSWERED: Final = 200
_RETRY_MAX_S: Final = 86400.0
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class RelayHub:
    """Hands sockets to the relay and keeps its books."""

    store: Store
    registry: Registry
    transitions: Transitions
    config: HiveConfig
    server_name: str
    _sockets: Giver = field(init=False)
    _policies: dict[str, ModelPolicy] = field(default_factory=dict, init=False)
    _connections: set[Connection] = field(default_factory=set, init=False)
    _server: Server | None = field(default=None, init=False)
    _answered: Callable[[int], Awaitable[None]] = field(init=False)
    _windows: dict[str, RateWindow] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._answered = _nobody_hears
        self._sockets = Giver(
            path=self.config.layout.relay_fds_socket, mode=_MODE, gid=self._gid()
        )
        self.transitions.listen(self.refresh)

    def listen(self, answered: Callable[[int], Awaitable[None]]) -> None:
        """Set who hears of each turn that the provider answered, as the relay saw."""
        self._answered = answered

    # --- sockets ------------------------------------------------------------------

    async def open(self) -> None:
        """Listen for the relay."""
        self._server = await serve(
            self.config.layout.relay_socket,
            self._session,
            limits=RELAY_RPC,
            mode=_MODE,
            gid=self._gid(),
        )
        self._sockets.open()

    def close(self) -> None:
        """Stop listening, for the relay and for agents."""
        if self._server is not None:
            self._server.close()
        self._sockets.close()

    def add(self, agent: Agent, record: PinnedRecord) -> None:
        """Give the agent its ``model.sock``, and the relay the policy of ``record``."""
        self._say(self._policy(agent, record))
        if not self._sockets.has(agent.name):
            self._sockets.add(
                agent.name,
                self.config.layout.run(agent.name) / "model.sock",
                gid=user_of(self.config, agent.name),
            )

    def _say(self, policy: ModelPolicy) -> None:
        if self._policies.get(policy.agent) == policy:
            return
        self._policies[policy.agent] = policy
        for connection in self._connections:
            connection.notify(POLICY, policy)

    def remove(self, name: str) -> None:
        """Take the agent's ``model.sock`` away."""
        self._policies.pop(name, None)
        self._sockets.remove(name)
        for connection in self._connections:
            connection.notify(DETACH, DetachParams(agent=name))

    def pids(self) -> tuple[int, ...]:
        """Return the processes of the relays that are connected, as far as known."""
        found = {one.peer_pid for one in self._connections}
        return tuple(sorted(pid for pid in found if pid))

    def attached(self) -> bool:
        """Tell whether a relay is connected."""
        return bool(self._connections)

    def windows(self) -> tuple[RateWindow, ...]:
        """Return the subscription's windows as last told, without those that reset."""
        now = time.time()
        return tuple(w for w in self._windows.values() if w.resets_at > now)

    def _gid(self) -> int | None:
        ids = self.config.ids
        return None if ids is None else ids.relay

    def _policy(self, agent: Agent, record: PinnedRecord) -> ModelPolicy:
        """Return what an agent may ask: by its pinned record, the operator and hived.

        Nothing that its harness reported is in it. A turn that runs keeps the model
        that hived chose for it, until it ends.
        """
        manifest = record.typed
        chosen = agent.control.model or manifest.model
        running = agent.turn_model if agent.turn is not None else None
        names = (chosen, running or chosen)
        limits = limits_of(agent, self.config)
        return ModelPolicy(
            agent=agent.name,
            models=allowed_models(
                names, self.config.limits, models=self.config.catalogue
            ),
            server_tools=manifest.server_tools,
            cost_per_day_usd=limits.cost_usd,
            tokens_per_day=limits.tokens,
            halted=self.registry.halted(agent),
        )

    def refresh(self, agent: Agent) -> None:
        """Tell the relay anew what the agent may ask, if it may at all."""
        if agent.name in self._policies:
            self._say(self._policy(agent, agent.policy()))

    # --- calls --------------------------------------------------------------------

    def _session(
        self, connection: Connection, hello: HelloParams
    ) -> tuple[HelloResult, Handlers]:
        ids = self.config.ids
        if ids is not None and connection.peer_uid not in (ids.relay, os.geteuid()):
            raise HiveError(ErrorCode.FORBIDDEN, "This user is not the relay.")
        _log.debug("%s connected", hello.client)
        self._connections.add(connection)
        connection.on_close(lambda: self._gone(connection))
        handlers = Handlers()
        handlers.on(ATTACH, self._attach)
        handlers.on(RESERVE, self._reserve)
        handlers.on(SETTLE, self._settle)
        result = HelloResult(
            protocol=PROTOCOL, role=Role.RELAY, server=self.server_name
        )
        return result, handlers

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)

    async def _attach(self, params: AttachParams) -> AttachResult:
        await self.store.write(lambda tx: self._settle_orphans(tx, params.open))
        return AttachResult(policies=tuple(self._policies.values()))

    async def _reserve(self, params: ReserveParams) -> ReserveResult:
        agent = self.registry.get(params.agent)
        policy = self._policies.get(params.agent)
        if policy is None:
            raise HiveError(
                ErrorCode.AGENT_NOT_RUNNING, f"{agent.name} has no access to a model."
            )
        if params.model not in policy.models:  # it was, when the relay looked
            raise HiveError(
                ErrorCode.MODEL_NOT_ALLOWED,
                f"{agent.name} may no longer use {params.model[:100]!a}.",
            )
        if self.registry.halted(agent) is not None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"{agent.name} is paused and cannot use the model.",
            )
        limits = limits_of(agent, self.config)

        def reserve(tx: Tx) -> int:
            _check_day(tx, params, limits)
            return usage.reserve(tx, params, agent.turn)

        try:
            number = await self.store.write(reserve)
        except HiveError as error:
            if error.code is ErrorCode.OVER_BUDGET:
                refused = str(error.details["limit"])
                self.transitions.request_judged(agent, refused)
            raise
        self.transitions.request_judged(agent, None)
        return ReserveResult(reservation=number)

    def _settle_orphans(self, tx: Tx, still_open: tuple[int, ...]) -> None:
        """Settle what a dead relay had set aside, at what was set aside.

        Nobody knows what these requests used. They were most likely sent, so anything
        less could pass the limit: who makes a relay crash gets nothing for it.
        """
        for orphan in usage.orphans(tx, frozenset(still_open)):
            settled = SettleParams(
                reservation=orphan.id,
                cost_usd=orphan.cost_usd,
                status=_LOST,
                input_tokens=orphan.input_tokens,
                output_tokens=orphan.output_tokens,
            )
            usage.settle(tx, settled)
            _log.warning("settled reservation %d of a lost relay connection", orphan.id)

    async def _settle(self, params: SettleParams) -> Done:
        of = await self.store.write(lambda tx: usage.settle(tx, params))
        self._windows |= {window.name: window for window in params.windows}
        if of is None:
            return Done()
        name, turn = of
        agent = self.registry.find(name)
        if agent is not None:
            retry_at = None
            if params.retry_after_s is not None:
                wait = min(params.retry_after_s, _RETRY_MAX_S)
                retry_at = wall_clock.moment(wait)
            self.transitions.provider_answered(agent, params.status, retry_at)
            used_up = any(window.is_used_up for window in params.windows)
            if retry_at is not None and used_up:
                for other in self.registry.all():
                    self.transitions.back_off(other, retry_at)
        if params.status == _ANSWERED and turn is not None:
            await self._answered(turn)
        return Done()


async def _nobody_hears(_turn: int) -> None:
    """Until somebody listens."""


def _check_day(tx: Tx, params: ReserveParams, limits: Limits) -> None:
    day = start_of_day()
    if limits.cost_usd is not None:
        spent = usage.spent(tx, params.agent, day)
        if spent >= limits.cost_usd or spent + params.cost_usd > limits.cost_usd:
            used = f"${spent:.4f} of ${limits.cost_usd:.2f}"
            details = {"spent_usd": spent, "limit_usd": limits.cost_usd}
            raise _over_budget(params.agent, used, Limit.COST, details)
    if limits.tokens is not None:
        read = usage.tokens(tx, params.agent, day)
        asked = params.input_tokens + params.output_tokens
        if read >= limits.tokens or read + asked > limits.tokens:
            used = f"{read} of {limits.tokens} tokens"
            left = {"spent_tokens": read, "limit_tokens": limits.tokens}
            raise _over_budget(params.agent, used, Limit.TOKENS, left)


def _over_budget(
    name: str, used: str, limit: Limit, details: Mapping[str, float]
) -> HiveError:
    return HiveError(
        ErrorCode.OVER_BUDGET,
        f"{name} has spent or reserved {used} today (UTC); this request could exceed "
        "the limit. The limit applies until midnight UTC, or until the operator "
        "raises it for today.",
        details={"limit": limit.value, **details},
    )
