"""Operations: everything that hived does in steps, one at a time for an agent.

Callers only queue. A ``Handler`` names its steps and, after each, the next;
the step's name is durable before the step runs and every step may be repeated, so
after a crash an operation goes on from the step it was at. While the store cannot be
read or written it waits, and repeats what it could not record. One runner per agent
works in order, agents beside each other. Who asked for one that no approval stands for,
and that it failed, are lines of the audit log; what it did is the handler's to say.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from pyglue.api.common import OperationRef
from pyglue.api.operations import (
    CANCELLABLE,
    CancelOperationParams,
    Operation,
    OperationKind,
)
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.audit import Audit
from pyglue.names import MANAGER, SYSTEM
from pyglue.store import operations as rows
from pyglue.store.database import Store, Tx
from pyglue.store.failures import StoreError

_log = logging.getLogger(__name__)
_ERROR_MAX: Final = 2000
_QUEUED_MAX: Final = 16
_AGAIN_S: Final = 5.0


class Handler(Protocol):
    """One kind of operation."""

    steps: ClassVar[tuple[str, ...]]
    """Every step that there is, the first one first; tests kill hived in each."""

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do ``step``; return the next one, or None when all is done."""

    def recover(self, step: str) -> str | None:
        """Return the step that mends a failure of ``step``; None: just fail."""


async def queued(operation: Awaitable[Operation]) -> OperationRef:
    """Return how a caller refers to an operation, once it is queued."""
    return OperationRef(operation=(await operation).id)


@dataclass(kw_only=True)
class Operations:
    """Queues and runs."""

    store: Store
    audit: Audit
    again_s: float = _AGAIN_S
    """Seconds until what the store refused is repeated."""
    _handlers: Mapping[OperationKind, Handler] = field(default_factory=dict, init=False)
    _queues: dict[str, asyncio.Queue[Operation]] = field(
        default_factory=dict, init=False
    )
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _ended: dict[int, asyncio.Event] = field(default_factory=dict, init=False)
    _building: dict[int, asyncio.Task[str | None]] = field(
        default_factory=dict, init=False
    )

    async def start(self, handlers: Mapping[OperationKind, Handler]) -> frozenset[str]:
        """Go on with what a crash interrupted; return the agents concerned."""
        self._handlers = handlers
        interrupted = await self.store.read(rows.unfinished)
        for operation in interrupted:
            self.enqueue(operation)
        return frozenset(operation.agent for operation in interrupted)

    def insert(
        self,
        tx: Tx,
        kind: OperationKind,
        agent: str,
        *,
        by: str,
        approval: int | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Record an operation in the caller's transaction; ``enqueue`` it after."""
        return rows.insert(
            tx,
            kind=kind,
            agent=agent,
            requested_by=by,
            approval=approval,
            arguments=arguments,
        )

    def works_on(self, number: int) -> bool:
        """Return whether an operation is queued here, or running."""
        return number in self._ended

    def enqueue(self, operation: Operation) -> None:
        """Run a recorded operation after the agent's earlier ones."""
        self._ended[operation.id] = asyncio.Event()
        waiting = self._queues.get(operation.agent)
        if waiting is None:
            waiting = asyncio.Queue()
            self._queues[operation.agent] = waiting
            task = asyncio.create_task(self._work(waiting))
            self._tasks.add(task)
        waiting.put_nowait(operation)

    async def request(
        self, kind: OperationKind, agent: str, *, by: str, approval: int | None = None
    ) -> Operation:
        """Record and queue.

        Raises:
            HiveError: ``too_many`` for the manager, whose many calls may be a loop.
        """
        waiting = self._queues.get(agent)
        if by == MANAGER and waiting is not None and waiting.qsize() >= _QUEUED_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"{_QUEUED_MAX} operations of {agent} are already queued; you will be "
                "notified when they finish.",
            )
        operation = await self.store.write(
            lambda tx: self.insert(tx, kind, agent, by=by, approval=approval)
        )
        self.requested(operation)
        return operation

    def requested(self, operation: Operation) -> None:
        """Write down who asked for it, and run it after the agent's earlier ones."""
        self.enqueue(operation)  # begins when we wait next, so after that line
        by = operation.requested_by
        if by != SYSTEM:  # what hived brings back is no decision
            what = f"{operation.kind.value}_requested"
            self.audit.record(by, what, operation.agent, {"operation": operation.id})

    async def get(self, number: int, wait_s: float) -> Operation:
        """Return an operation, waiting up to ``wait_s`` seconds for its end.

        Raises:
            HiveError: ``not_found``.
        """
        ended = self._ended.get(number)
        if ended is not None and wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                    await ended.wait()
        return await self.store.read(lambda reader: rows.get(reader, number))

    async def cancel(self, params: CancelOperationParams, by: str) -> None:
        """End what has not begun, or builds, as if that had failed.

        Raises:
            HiveError: ``not_found``; ``conflict`` where it can not be cancelled.
        """
        why = f"Cancelled by {by}."
        if params.reason:
            why += f" Reason: {visible(params.reason, limit=_ERROR_MAX)}"
        operation = await self.store.write(lambda tx: rows.cancel(tx, params.id, why))
        data = {"operation": operation.id, "reason": params.reason}
        self.audit.record(by, "operation_cancelled", operation.agent, data)
        building = self._building.get(operation.id)
        if building is not None:
            building.cancel()

    async def close(self) -> None:
        """Stop where it stands; the next start goes on from there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, waiting: asyncio.Queue[Operation]) -> None:
        while True:
            operation = await waiting.get()
            try:
                await self._run(operation)
            except Exception:
                _log.exception("operation %d stopped", operation.id)

    async def _run(self, operation: Operation) -> None:
        machine = self._handlers[operation.kind]
        step: str | None = operation.step or machine.steps[0]
        error = operation.error
        if step in (machine.steps[0], CANCELLABLE.get(operation.kind)):
            error = None  # if it has one it was cancelled, which is seen below
        while step is not None:
            now = step
            operation = await self._record(
                partial(rows.advance, number=operation.id, step=now, error=error)
            )
            if error is None and operation.error is not None:
                error = operation.error
                step = machine.recover(operation.step or machine.steps[0])
                continue
            try:
                step = await self._step(machine, operation, now)
            except asyncio.CancelledError:
                raise
            except StoreError as failure:
                _log.warning("%s waits for the store: %s", now, failure.message)
                await asyncio.sleep(self.again_s)
            except Exception as failure:
                problem = _problem(operation, now, failure)
                error = (
                    problem
                    if error is None
                    else f"{error} Cleaning up then failed: {problem}"
                )
                step = machine.recover(now)
        operation = await self._record(
            partial(rows.finish, number=operation.id, error=error)
        )
        ended = self._ended.pop(operation.id, None)
        if ended is not None:
            ended.set()
        self._audit_failure(operation)

    async def _record(self, write: Callable[[Tx], Operation]) -> Operation:
        """Record how far an operation is, as soon as the store takes it."""
        while True:
            try:
                return await self.store.write(write)
            except StoreError as error:
                _log.warning("an operation waits for the store: %s", error.message)
                await asyncio.sleep(self.again_s)

    async def _step(
        self, machine: Handler, operation: Operation, step: str
    ) -> str | None:
        """Do a step; one that was cancelled meanwhile goes to itself, to be told so."""
        if step != CANCELLABLE.get(operation.kind):
            return await machine.run(operation, step)
        work = asyncio.create_task(machine.run(operation, step))
        self._building[operation.id] = work
        try:
            await asyncio.wait([work])
        finally:
            del self._building[operation.id]
            if not work.done():  # hived stops
                work.cancel()
                await asyncio.wait([work])
        return step if work.cancelled() else work.result()

    def _audit_failure(self, operation: Operation) -> None:
        """Write it down, but for deploys, which do, and what is tried again anyway."""
        if operation.error is None or operation.approval is not None:
            return
        if operation.requested_by == SYSTEM:
            return
        data = {"operation": operation.id, "step": operation.step}
        what = f"{operation.kind.value}_failed"
        error = operation.error[:_ERROR_MAX]
        self.audit.record(SYSTEM, what, operation.agent, {**data, "error": error})


def _problem(operation: Operation, step: str, failure: Exception) -> str:
    if isinstance(failure, HiveError):
        return failure.message
    _log.error(
        "step %s of operation %d (%s %s) failed",
        step,
        operation.id,
        operation.kind,
        operation.agent,
        exc_info=failure,
    )
    broken = HiveError(
        ErrorCode.INTERNAL, f"Internal error in step {step}; see hived's log."
    )
    return broken.message
