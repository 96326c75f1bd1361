"""Handlers of calls and notifications: what one side of a connection answers."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from pyglue import strict_json
from pyglue.api.common import Done, Method, Note, Params, Result

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


class Registered(NamedTuple):
    """A handler, and what decodes its parameters."""

    decode: Callable[[msgspec.Raw], Any]
    fn: Callable[[Any], Any]


class Handlers:
    """The calls and notifications that one side of a connection handles."""

    def __init__(self) -> None:
        self._methods: dict[str, Registered] = {}
        self._notes: dict[str, Registered] = {}

    def on(
        self,
        method: Method[P, R],
        fn: Callable[[P], Awaitable[R]],
        *,
        decode: Callable[[msgspec.Raw], P] | None = None,
    ) -> None:
        """Answer ``method`` with what ``fn`` returns or the HiveError it raises.

        ``decode`` may refuse parameters with a HiveError of its own.
        """
        decode = decode or strict_json.reader(method.params, what="request")
        self._methods[method.name] = Registered(decode, fn)

    def on_done(
        self, method: Method[P, Done], fn: Callable[[P], Awaitable[object]]
    ) -> None:
        """Answer ``method``, which has no result, when ``fn`` has returned."""

        async def done(params: P) -> Done:
            await fn(params)
            return Done()

        self.on(method, done)

    def on_note(self, note: Note[P], fn: Callable[[P], None]) -> None:
        """Call ``fn`` for each notification of this name, in order."""
        decode = strict_json.reader(note.params, what="notification")
        self._notes[note.name] = Registered(decode, fn)

    def names(self) -> frozenset[str]:
        """Return the names of all calls that have a handler."""
        return frozenset(self._methods)

    def method(self, name: str) -> Registered | None:
        """Return the handler of a call, None if there is none."""
        return self._methods.get(name)

    def note(self, name: str) -> Registered | None:
        """Return the handler of a notification, None if there is none."""
        return self._notes.get(name)
