"""hived's side of the relay: which requests an agent may make, and their cost.

Cost is reserved before a request and settled after it, in the store, which no agent can
access.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from pyglue.api.common import Done, Role
from pyglue.api.relay import (
    ATTACH,
    POLICY,
    RESERVE,
    SETTLE,
    AttachParams,
    AttachResult,
    ModelPolicy,
    RateWindow,
    ReserveParams,
    ReserveResult,
    SettleParams,
)
from pyglue.clock import wall_clock
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.accounts import account_of
from pyglue.host.core.agent import Agent
from pyglue.host.core.day_limits import Limit, Limits, limits_of, start_of_day
from pyglue.host.model.hub import Daemon, Hub
from pyglue.host.policy.operator_limits import allowed_models
from pyglue.jsonrpc import Handlers
from pyglue.manifest.record import PinnedRecord
from pyglue.store import usage, windows
from pyglue.store.database import Tx

_LOST: Final = 499
_ANSWERED: Final = 200
_RETRY_MAX_S: Final = 86400.0
_RESET_MAX_S: Final = 7 * 86400.0
"""The longest that a used-up window may block an account's agents."""
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class RelayHub(Hub[ModelPolicy]):
    """Hands sockets to the relay and accounts for its requests."""

    _answered: Callable[[int, str], Awaitable[None]] = field(init=False)
    _windows: dict[str, dict[str, RateWindow]] = field(default_factory=dict, init=False)
    """Rate windows by account and name."""

    def __post_init__(self) -> None:
        """Start without a listener for answered turns."""
        super().__post_init__()
        self._answered = _nobody_hears

    def listen(self, answered: Callable[[int, str], Awaitable[None]]) -> None:
        """Set the listener for turns answered by the provider: turn and account."""
        self._answered = answered

    async def open(self) -> None:
        """Load the stored rate windows, and listen for the relay."""
        for account, one in await self.store.read(windows.every):
            self._windows.setdefault(account, {})[one.name] = one
        await super().open()

    def add(self, agent: Agent, record: PinnedRecord) -> None:
        """Create the agent's socket; make it back off if its account is used up."""
        super().add(agent, record)
        until = self.used_up_until(account_of(agent, self.config.relay))
        if until is not None and agent.retry_at is None:
            self.transitions.back_off(agent, until)

    def daemon(self) -> Daemon[ModelPolicy]:
        """Return hive-relay."""
        layout, ids = self.config.layout, self.config.ids
        return Daemon(
            name="hive-relay",
            role=Role.RELAY,
            user=None if ids is None else ids.relay,
            calls=layout.relay_socket,
            sockets=layout.relay_fds_socket,
            agent_socket="model.sock",
            policy=POLICY,
        )

    def policy(self, agent: Agent, record: PinnedRecord) -> ModelPolicy:
        """Return what an agent may request, by its pinned record, operator and hived.

        Nothing reported by its harness enters it. A running turn keeps the model that
        hived chose for it until it ends.
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
            account=account_of(agent, self.config.relay),
        )

    def handlers(self) -> Handlers:
        """Return the handlers of the relay's calls."""
        handlers = Handlers()
        handlers.on(ATTACH, self._attach)
        handlers.on(RESERVE, self._reserve)
        handlers.on(SETTLE, self._settle)
        return handlers

    def windows(self) -> tuple[RateWindow, ...]:
        """Return the windows of all accounts, with their names if there are several."""
        accounts = self.config.relay.accounts
        return tuple(
            replace(window, account=name if len(accounts) > 1 else "")
            for name in accounts
            for window in self.windows_of(name)
        )

    def windows_of(self, account: str) -> tuple[RateWindow, ...]:
        """Return an account's windows as last reported, without those that reset."""
        now, known = time.time(), self._windows.get(account, {})
        return tuple(one for one in known.values() if one.resets_at > now)

    def used_up_until(self, account: str) -> wall_clock.Moment | None:
        """Return when all used-up windows of an account reset; None if it has none."""
        known = self.windows_of(account)
        resets = [one.resets_at for one in known if one.is_used_up]
        if not resets:
            return None
        return wall_clock.moment(min(max(resets) - time.time(), _RESET_MAX_S))

    # --- calls --------------------------------------------------------------------

    async def _attach(self, params: AttachParams) -> AttachResult:
        await self.store.write(lambda tx: self._settle_orphans(tx, params.open))
        return AttachResult(policies=tuple(self.policies.values()))

    async def _reserve(self, params: ReserveParams) -> ReserveResult:
        agent = self.registry.get(params.agent)
        policy = self.policies.get(params.agent)
        if policy is None:
            raise HiveError(
                ErrorCode.AGENT_NOT_RUNNING, f"{agent.name} has no access to a model."
            )
        if params.model not in policy.models:  # it was when the relay checked
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
        account = account_of(agent, self.config.relay)

        def reserve(tx: Tx) -> int:
            _check_day(tx, params, limits)
            return usage.reserve(tx, params, agent.turn, account)

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
        """Settle the reservations of a lost relay at the full reserved amount.

        The actual usage is unknown, but the requests were most likely sent. Charging
        less could exceed the limit, and would reward crashing the relay.
        """
        for orphan in usage.orphans(tx, frozenset(still_open)):
            settled = SettleParams(
                reservation=orphan.id,
                cost_usd=orphan.cost_usd,
                status=_LOST,
                input_tokens=orphan.input_tokens,
                output_tokens=orphan.output_tokens,
                account=orphan.account or self.config.relay.name,
            )
            usage.settle(tx, settled)
            _log.warning("settled reservation %d of a lost relay connection", orphan.id)

    async def _settle(self, params: SettleParams) -> Done:
        known = {one.name: replace(one, account="") for one in params.windows}
        if params.account not in self.config.relay.accounts:
            known = {}

        def settle(tx: Tx) -> tuple[str, int | None] | None:
            if known:
                windows.put(tx, params.account, known.values())
            return usage.settle(tx, params)

        of = await self.store.write(settle)
        self._windows.setdefault(params.account, {}).update(known)
        if of is None:
            return Done()
        name, turn = of
        agent = self.registry.find(name)
        if agent is not None:
            used_up = any(one.is_used_up for one in params.windows)
            wait = None
            if params.retry_after_s is not None:
                most = _RESET_MAX_S if used_up else _RETRY_MAX_S
                wait = wall_clock.moment(min(params.retry_after_s, most))
            paid = [one for one in self.registry.all() if self._pays(params, one)]
            retry_at = wait if agent in paid else None
            self.transitions.provider_answered(agent, params.status, retry_at)
            if wait is not None and used_up:
                for other in paid:
                    self.transitions.back_off(other, wait)
        if params.status == _ANSWERED and turn is not None:
            await self._answered(turn, params.account)
        return Done()

    def _pays(self, params: SettleParams, agent: Agent) -> bool:
        """Return whether the account that paid for a request now pays for ``agent``."""
        return account_of(agent, self.config.relay) == params.account


async def _nobody_hears(_turn: int, _account: str) -> None:
    """The listener until ``listen`` sets one."""


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
