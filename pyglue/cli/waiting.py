"""Waits for an operation that a command queued, and says how it ended."""

import sys
from typing import Final

from pyglue.api import operator as api
from pyglue.api.operations import OperationParams, OperationState
from pyglue.cli.answer import Answer
from pyglue.display import visible
from pyglue.jsonrpc import SyncClient

WAIT_S: Final = 180.0
_TEXT_MAX: Final = 2000


def ended(client: SyncClient, number: int, *, wait: bool = True) -> Answer:
    """Return an operation at its end, or after a while as far as it is."""
    if wait and sys.stderr.isatty():
        sys.stderr.write(f"Operation {number} runs …\n")
    seconds = WAIT_S if wait else 0.0
    params = OperationParams(id=number, wait_seconds=seconds)
    result = client.call(api.OPERATION, params)
    text = f"Operation {number} ({result.kind.value} {result.agent}): "
    text += f"{result.state.value}"
    for more in (result.error, result.note):
        if more:
            text += f". {visible(more, limit=_TEXT_MAX).removesuffix('.')}"
    return Answer(result, text, int(result.state is OperationState.FAILED))
