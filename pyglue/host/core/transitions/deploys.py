"""Transitions of an agent's desired state and its deployment."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pyglue.host.core.agent import Agent
from pyglue.host.core.transitions.writing import Writing
from pyglue.manifest.record import PinnedRecord
from pyglue.store import agents as rows
from pyglue.store import control as control_rows
from pyglue.store.database import Tx
from pyglue.store.failures import StoreError


@dataclass(kw_only=True)
class DeployTransitions(Writing):
    """Whether an agent should run, with which record, and its problem if any."""

    def wanted(self, agent: Agent, wanted: bool) -> Awaitable[None]:
        """It should run, or should not, from now on."""
        self._set(agent, replace(agent, wanted=wanted))
        return _in_effect(
            self.store.write(
                lambda tx: rows.set_wanted(tx, agent.name, agent.wanted), keep=True
            )
        )

    def problem_noted(self, agent: Agent, problem: str | None) -> Awaitable[None]:
        """It has a problem; None clears it."""
        self._set(agent, replace(agent, problem=problem))
        return _in_effect(
            self.store.write(
                lambda tx: rows.set_problem(tx, agent.name, agent.problem), keep=True
            )
        )

    def deployed(
        self,
        agent: Agent,
        record: PinnedRecord,
        *,
        approval: int,
        commit: str,
        wanted: bool,
        also: Callable[[Tx], None],
    ) -> Awaitable[None]:
        """``record`` runs from now on; ``also`` is written in the same transaction."""
        self._set(agent, replace(agent, wanted=wanted, problem=None))
        encoded = record.encode()

        def write(tx: Tx) -> None:
            also(tx)
            rows.set_deployed(
                tx,
                agent.name,
                approval=approval,
                commit=commit,
                record=encoded,
                wanted=agent.wanted,
                problem=agent.problem,
            )

        def follow(_: None) -> None:
            now = replace(agent, record=record, approval=approval, commit=commit)
            self._set(agent, now)

        written = self.store.write(write, then=follow)
        written.add_done_callback(lambda done: self._unless_deployed(agent, done))
        return written

    def _unless_deployed(self, agent: Agent, done: "asyncio.Future[None]") -> None:
        """If writing a deploy failed, store the part that is in effect anyway."""
        if done.cancelled() or done.exception() is not None:
            self.store.post(
                lambda tx: rows.set_present(
                    tx, agent.name, wanted=agent.wanted, problem=agent.problem
                )
            )

    def store_again(self, agent: Agent) -> Awaitable[None]:
        """Write its controls and problem again, because the store differs."""

        def write(tx: Tx) -> None:
            rows.set_present(tx, agent.name, wanted=agent.wanted, problem=agent.problem)
            control_rows.put(tx, agent.control)

        return self.store.write(write)


def _in_effect(written: "asyncio.Future[None]") -> "asyncio.Future[None]":
    """Wait for the write, but not for its success: memory has the change already."""

    async def wait() -> None:
        with contextlib.suppress(StoreError):
            await written

    return asyncio.ensure_future(wait())
