"""The provider's credit: asking the operator once when it is used up.

The first turn of any agent that fails for lack of credit asks the operator one question
about the account that pays for it. The question is stored with the hive's controls and
survives restarts. Agents keep their messages and retry automatically; as soon as the
relay sees a request answered, the question is withdrawn and the other agents retry
immediately. A harness's report about its turns is only a claim: it is quoted as such,
and accepted at limited intervals. ``turns`` and ``model.relay`` call this.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from pyglue.api.common import AgentState
from pyglue.api.questions import QuestionView
from pyglue.config import RelayConfig
from pyglue.host.control.controls import Controls
from pyglue.host.core.accounts import account_of
from pyglue.host.core.agent import Agent
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.host.core.transitions import Transitions
from pyglue.host.messages.questions import Questions
from pyglue.names import SYSTEM
from pyglue.text.display import in_quotes, visible

CREDIT: Final = "credit"
"""The subject of a question about credit, in the hive's control row."""
TRY: Final = "Try again now"
_LEAVE: Final = "Wait for the automatic retry"
_TOLD_S: Final = 600.0
"""The minimum interval between two questions."""
_REASON_MAX: Final = 300
_PAYMENT_REQUIRED: Final = 402


@dataclass(kw_only=True)
class Credit:
    """Asks once, and makes agents retry when the credit is back."""

    transitions: Transitions
    registry: Registry
    questions: Questions
    controls: Controls
    audit: Audit
    config: RelayConfig
    clock: Callable[[], float] = time.monotonic
    _asked_at: float | None = field(default=None, init=False)
    _begun_before: frozenset[int] = field(default=frozenset(), init=False)

    def __post_init__(self) -> None:
        self.questions.listen(self._answered)

    async def used_up(self, agent: Agent, reason: str | None) -> None:
        """Ask the operator unless already asked; ``reason`` is the harness's claim."""
        now, asked = self.clock(), self._asked_at
        if self._is_open() or (asked is not None and now - asked < _TOLD_S):
            return
        self._asked_at = now
        account = account_of(agent, self.config)
        turns = (one.turn for one in self.registry.all())
        self._begun_before = frozenset(turn for turn in turns if turn is not None)
        why = visible(reason or "", limit=_REASON_MAX) or "no reason given"
        self.audit.record(SYSTEM, "credit_used_up", agent.name, {"said": why})
        seen = ""
        if agent.provider_status == _PAYMENT_REQUIRED:
            seen = (
                "The relay saw the provider refuse a request for that reason (HTTP "
                "402). "
            )
        whose = f" of the account {account}" if self.config.others else ""
        number = await self.questions.ask_operator(
            f"{agent.name} reports that the provider's credit{whose} is used up. "
            f"{seen}Its words: {in_quotes(why, limit=_REASON_MAX)}\nAgents keep their "
            "messages and retry automatically about every ten minutes. Add credit, "
            "then retry at once.",
            (TRY, _LEAVE),
            expires_at=None,
        )
        await self._write(number, account)

    async def works(self, turn: int, account: str) -> None:
        """The relay saw an answer for ``turn``, paid for by ``account``.

        If the turn began after the question, that account's credit is back.
        """
        question = self.registry.hive.question
        if question is None or self._account() != account or turn in self._begun_before:
            return
        self.audit.record(SYSTEM, "credit_back", None, {})
        await self._write(None)
        await self.questions.withdraw(question)
        self._try_again(account)

    def _is_open(self) -> bool:
        return self._account() is not None

    def _account(self) -> str | None:
        """Return the account that the open question is about; None: no question."""
        what, _, name = (self.registry.hive.asked_for or "").partition(":")
        return (name or self.config.name) if what == CREDIT else None

    async def _write(self, question: int | None, account: str = "") -> None:
        asked_for = None
        if question is not None:
            is_default = account == self.config.name
            asked_for = CREDIT if is_default else f"{CREDIT}:{account}"
        row = replace(self.registry.hive, question=question, asked_for=asked_for)
        await self.transitions.hive_controlled(row)

    async def _answered(self, question: QuestionView, text: str) -> None:
        if not self._is_open() or question.id != self.registry.hive.question:
            return
        account = self._account()
        if account is not None and text.split("\n")[0] == TRY:
            await self._write(None)
            self._try_again(account)

    def _try_again(self, account: str) -> None:
        for agent in self.registry.all():
            ours = account_of(agent, self.config) == account
            if ours and agent.state is AgentState.NO_CREDIT:
                self.controls.try_again(agent)
