"""Wait for an operation that a command queued, and report how it ended."""

from typing import Final

from pyglue.api import operator as api
from pyglue.api.events import Event, OperationChanged, SubscribeParams
from pyglue.api.operations import Operation, OperationParams, OperationState
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.spinner import Label, spinner
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible

_SILENCE_S: Final = 6 * 3600.0
"""A build may be silent; hived ends one that takes too long, which is an event."""
_TEXT_MAX: Final = 64 * 1024
"""The servers' output of a failed deploy is shown in full, on separate lines."""


def ended(client: SyncClient, number: int, *, wait: bool = True) -> Answer:
    """Return an operation once it has ended, or its current state.

    Raises:
        HiveError: ``unavailable`` when the connection to hived is lost.
    """
    params = OperationParams(id=number)
    if wait:
        client.call(api.SUBSCRIBE, SubscribeParams())
    result = client.call(api.OPERATION, params)
    if wait and result.finished_at is None:
        with spinner(f"Operation {number}") as label:
            try:
                result = _at_its_end(client, result, label)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"Operation {number} is still running; check it with: "
                    "hive operations."
                ) from None
    text = f"Operation {number} ({result.kind.value} {result.agent}): "
    text += f"{result.state.value}"
    for more in (result.error, result.note):
        if more:
            text += f". {_lines(more).removesuffix('.')}"
    return Answer(result, text, int(result.state is OperationState.FAILED))


def _lines(text: str) -> str:
    return "\n  ".join(
        visible(one, limit=_TEXT_MAX) for one in text[:_TEXT_MAX].split("\n")
    )


def _at_its_end(client: SyncClient, operation: Operation, label: Label) -> Operation:
    number = operation.id
    for event in client.notes(timeout=_SILENCE_S):
        if isinstance(event, Event):
            changed = event.read()
            if not isinstance(changed, OperationChanged) or changed.operation != number:
                continue
        operation = client.call(api.OPERATION, OperationParams(id=number))
        if operation.finished_at is not None:
            return operation
        what = f"{operation.kind.value} {operation.agent}: {operation.step}"
        label.text = f"Operation {number} ({what})"
    raise HiveError(
        ErrorCode.UNAVAILABLE,
        f"The connection to hived was lost. Operation {number} continues when hived "
        "is back; check it with: hive operations.",
    )
