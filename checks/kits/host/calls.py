"""Calls of the handlers of one connection, without a socket."""

from dataclasses import dataclass
from typing import TypeVar

from pyglue.api.common import Method, Note, Params, Result
from pyglue.jsonrpc import Handlers

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True, repr=False)
class Calls:
    """What the other side of a connection may call."""

    handlers: Handlers

    async def call(self, method: Method[P, R], params: P) -> R:
        """Call a method, and return its result."""
        handler = self.handlers.method(method.name)
        assert handler is not None, method.name
        result = await handler.fn(params)
        assert isinstance(result, method.result)
        return result

    def note(self, note: Note[P], params: P) -> None:
        """Notify the handler of ``note``."""
        handler = self.handlers.note(note.name)
        assert handler is not None, note.name
        handler.fn(params)
