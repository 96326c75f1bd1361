"""Operations: everything that hived does in steps, one operation at a time per agent.

Callers only queue. A ``Handler`` names its steps and, after each, the next one. The
step's name is stored before the step runs, and every step can be repeated, so after a
crash an operation continues from its current step. While the store cannot be read or
written, the operation waits and retries what it could not record. Each agent has one
runner, which works in order; agents run concurrently. For an operation without an
approval, the audit log records the requester and a failure; recording what it did is up
to the handler.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final, Protocol

from pyglue.api.common import OperationRef
from pyglue.api.operations import (
    CANCELLABLE,
    CancelOperationParams,
    Operation,
    OperationKind,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.audit import Audit
from pyglue.names import MANAGER, SYSTEM
from pyglue.store import operations as rows
from pyglue.store.database import Store, Tx
from pyglue.store.failures import StoreError
from pyglue.text.display import visible

_log = logging.getLogger(__name__)
_ERROR_MAX: Final = 2000
_QUEUED_MAX: Final = 16
_AGAIN_S: Final = 5.0


class Handler(Protocol):
    """One kind of operation."""

    steps: ClassVar[tuple[str, ...]]
    """All steps, starting with the first; tests kill hived in each."""

    async def run(self, operation: Operation, step: str) -> str | None:
        """Run ``step``; return the next one, or None when all are done."""

    def recover(self, step: str) -> str | None:
        """Return the step that cleans up after ``step`` fails; None: just fail."""


async def queued(operation: Awaitable[Operation]) -> OperationRef:
    """Return the caller's reference to an operation, once it is queued."""
    return OperationRef(operation=(await operation).id)


@dataclass(kw_only=True)
class Operations:
    """Queues operations and runs them."""

    store: Store
    audit: Audit
    again_s: float = _AGAIN_S
    """Seconds until a failed write to the store is retried."""
    _handlers: Mapping[OperationKind, Handler] = field(default_factory=dict, init=False)
    _queues: dict[str, asyncio.Queue[Operation]] = field(
        default_factory=dict, init=False
    )
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _ended: dict[int, asyncio.Event] = field(default_factory=dict, init=False)
    _early: dict[int, asyncio.Event] = field(default_factory=dict, init=False)
    """Those awaited by who saw the row first: it is recorded, and queued after that."""
    _building: dict[int, asyncio.Task[str | None]] = field(
        default_factory=dict, init=False
    )

    async def start(self, handlers: Mapping[OperationKind, Handler]) -> frozenset[str]:
        """Continue operations that a crash interrupted; return their agents."""
        self._handlers = handlers
        interrupted = await self.store.read(rows.unfinished)
        for operation in interrupted:
            self.enqueue(operation)
        return frozenset(operation.agent for operation in interrupted)

    def works_on(self, number: int) -> bool:
        """Return whether an operation is queued or running."""
        return number in self._ended

    def enqueue(self, operation: Operation) -> None:
        """Run a recorded operation after the agent's earlier ones."""
        ended = self._early.pop(operation.id, None)
        self._ended[operation.id] = asyncio.Event() if ended is None else ended
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
        """Record an operation and queue it.

        Raises:
            HiveError: ``too_many`` for the manager only: it may be in a loop.
        """
        waiting = self._queues.get(agent)
        if by == MANAGER and waiting is not None and waiting.qsize() >= _QUEUED_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"{_QUEUED_MAX} operations of {agent} are already queued; you will be "
                "notified when they finish.",
            )
        operation = await self.store.write(
            lambda tx: rows.insert(
                tx, kind=kind, agent=agent, requested_by=by, approval=approval
            )
        )
        self.requested(operation)
        return operation

    def requested(self, operation: Operation) -> None:
        """Record the requester, and run it after the agent's earlier ones."""
        self.enqueue(operation)  # starts at our next await, so after the audit line
        by = operation.requested_by
        if by != SYSTEM:  # what hived restores on its own is not a decision
            what = f"{operation.kind.value}_requested"
            self.audit.record(by, what, operation.agent, {"operation": operation.id})

    async def get(self, number: int, wait_s: float) -> Operation:
        """Return an operation, waiting up to ``wait_s`` seconds for it to finish.

        Raises:
            HiveError: ``not_found``.
        """
        ended = await self._end_of(number) if wait_s > 0 else None
        if ended is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                    await ended.wait()
        return await self.store.read(lambda reader: rows.get(reader, number))

    async def _end_of(self, number: int) -> asyncio.Event | None:
        """Return what is set when an operation finishes; None if it has finished.

        Raises:
            HiveError: ``not_found``.
        """
        if number in self._ended:
            return self._ended[number]
        ended = self._early.setdefault(number, asyncio.Event())
        finished = True
        try:
            row = await self.store.read(lambda reader: rows.get(reader, number))
            finished = row.finished_at is not None
        finally:
            if finished:
                self._early.pop(number, None)
        return None if finished else ended

    async def cancel(self, params: CancelOperationParams, by: str) -> None:
        """Cancel a queued or building operation, as if it had failed.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it can no longer be cancelled.
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
        """Stop all operations at their current step; the next start continues them."""
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
            error = None  # if it has one, it was cancelled: handled below
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
                _log.warning("step %s waits for the store: %s", now, failure.message)
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
        """Record an operation's progress, retrying until the store accepts it."""
        while True:
            try:
                return await self.store.write(write)
            except StoreError as error:
                _log.warning("an operation waits for the store: %s", error.message)
                await asyncio.sleep(self.again_s)

    async def _step(
        self, machine: Handler, operation: Operation, step: str
    ) -> str | None:
        """Run a step; a cancelled one returns itself, so ``_run`` sees the error."""
        if step != CANCELLABLE.get(operation.kind):
            return await machine.run(operation, step)
        work = asyncio.create_task(machine.run(operation, step))
        self._building[operation.id] = work
        try:
            await asyncio.wait([work])
        finally:
            del self._building[operation.id]
            if not work.done():  # hived is stopping
                work.cancel()
                await asyncio.wait([work])
        return step if work.cancelled() else work.result()

    def _audit_failure(self, operation: Operation) -> None:
        """Audit a failure, except of deploys (audited already) and hived's retries."""
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
