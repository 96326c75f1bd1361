"""Rebuilds all agents, one after the other, until one fails.

It is one operation of the whole hive. It records the finished agents and the current
rebuild, so that it can continue after a crash. The manager comes last. If an agent's
system would change, the rebuild is only proposed and the next agent follows; the note
lists the pending approvals.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pyglue.api.common import OperationRef
from pyglue.api.operations import Operation, OperationKind
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.changes.redeploy import Redeploy
from pyglue.host.core.agent import HIVE
from pyglue.host.core.operations import Operations
from pyglue.host.core.registry import Registry
from pyglue.store import operations as rows
from pyglue.store.database import Store, Tx
from pyglue.store.failures import StoreError


@dataclass(frozen=True, kw_only=True)
class RebuildAllHandler:
    """Queues the operation, and handles it."""

    steps: ClassVar[tuple[str, ...]] = ("next", "wait")

    store: Store
    registry: Registry
    operations: Operations
    redeploy: Redeploy

    async def request(self, by: str) -> OperationRef:
        """Queue the rebuild of every deployed agent.

        Raises:
            HiveError: ``conflict`` while such an operation is running.
        """
        everyone = [a.name for a in self.registry.all() if a.record is not None]
        left = [*everyone[1:], *everyone[:1]]  # the manager comes last

        def insert(tx: Tx) -> Operation:
            running = rows.open_of(tx, HIVE)
            if running is not None:
                raise HiveError(
                    ErrorCode.CONFLICT,
                    f"Operation {running.id} is already rebuilding all agents.",
                )
            values: dict[str, Any] = {"left": left, "done": []}
            values["note"] = _note(values)
            return rows.insert(
                tx,
                kind=OperationKind.REBUILD_ALL,
                agent=HIVE,
                requested_by=by,
                arguments=values,
            )

        operation = await self.store.write(insert)
        self.operations.requested(operation)
        return OperationRef(operation=operation.id)

    async def run(self, operation: Operation, step: str) -> str | None:
        """Do one step."""
        values = await self.store.read(
            lambda reader: rows.arguments(reader, operation.id)
        )
        if step == "next":
            return await self._next(operation, values)
        if step == "wait":
            return await self._wait(operation, values)
        raise HiveError(ErrorCode.INTERNAL, f"Unknown step {step}.")

    def recover(self, step: str) -> str | None:  # noqa: ARG002
        """Nothing to repair: agents that were not rebuilt run as before."""
        return None

    async def _next(self, operation: Operation, values: dict[str, Any]) -> str | None:
        if values.get("operation") is not None:  # resumed after a crash before ``wait``
            return "wait"
        left: list[str] = values["left"]
        if not left:
            return None
        name = left[0]
        if self.registry.find(name) is None:  # destroyed meanwhile
            await self._write(operation, {**values, "left": left[1:]})
            return "next"
        try:
            made = await self.redeploy.rebuild(name, operation.requested_by)
        except StoreError:
            raise  # the step is retried
        except HiveError as error:
            raise _stopped(values, error.message) from error
        if made.operation is None:
            pending = [*values.get("pending", []), f"{name} ({made.approval})"]
            now = {**values, "left": left[1:], "pending": pending}
            await self._write(operation, {**now, "note": _note(now)})
            return "next"
        await self._write(operation, {**values, "operation": made.operation})
        return "wait"

    async def _wait(self, operation: Operation, values: dict[str, Any]) -> str | None:
        if values.get("operation") is None:  # resumed after a crash in ``_wait``
            return "next"
        ended = await self.operations.get(values["operation"], math.inf)
        if ended.error is not None:
            raise _stopped(values, ended.error)
        done, left = [*values["done"], values["left"][0]], values["left"][1:]
        now = {**values, "done": done, "left": left, "operation": None}
        await self._write(operation, {**now, "note": _note(now)})
        return "next"

    async def _write(self, operation: Operation, values: dict[str, Any]) -> None:
        await self.store.write(
            partial(rows.set_arguments, number=operation.id, values=values)
        )


def _note(values: dict[str, Any]) -> str:
    words = [("Rebuilt", values["done"]), ("Remaining", values["left"])]
    if values.get("pending"):
        words.append(("Different system, pending approval", values["pending"]))
    return " ".join(f"{word}: {', '.join(names) or 'none'}." for word, names in words)


def _stopped(values: dict[str, Any], why: str) -> HiveError:
    name, *rest = values["left"]
    note = _note({**values, "left": rest})
    return HiveError(ErrorCode.DEPLOY_FAILED, f"Could not rebuild {name}. {why} {note}")
