"""The definition of a tool, and the conversion of a call's result to text for a model.

``over`` turns a method into a tool; its schema is generated from the method's
parameters. Results are JSON; a refusal is its sentence, which says what to do instead.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec

from pyglue import strict_json
from pyglue.api.common import Done, Method, Params, Result
from pyglue.errors import ErrorCode, HiveError
from pyglue.tools.schema import Schema, hidden, schema_of

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

CALL_TIMEOUT_S: Final = 60.0
HIVE: Final = "hive"
"""Name of the MCP server, and thus the middle part of its tools' names in the CLI."""
RESULT_CHARS: Final = 500_000
"""Results up to this size stay in the CLI's conversation instead of a file."""


class Caller(Protocol):
    """Anything that calls hived: a ``Connection``, or a link that reconnects."""

    async def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call and return the answer, or raise HiveError."""
        ...


@dataclass(frozen=True)
class Answer:
    """The text for the model."""

    text: str
    is_error: bool


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One tool. ``run`` takes a model's arguments and returns a result of the API.

    ``summary`` is for people, in the table of the docs; ``description`` is for models.
    """

    name: str
    summary: str
    description: str
    schema: Schema
    run: Callable[[Caller, dict[str, Any]], Awaitable[Result]]

    async def call(self, caller: Caller, arguments: dict[str, Any]) -> Answer:
        """Run for a model: errors of the call become text and are never raised."""
        try:
            result = await self.run(caller, arguments)
            return Answer(as_text(result), is_error=False)
        except HiveError as error:
            return Answer(f"{error.message} (error: {error.code.value})", is_error=True)
        except UnicodeEncodeError as error:
            return Answer(f"Invalid arguments: {error}.", is_error=True)


def over(
    method: Method[P, R],
    summary: str,
    description: str,
    *,
    timeout: Callable[[P], float] | None = None,
    offered: frozenset[str] = frozenset(),
) -> Tool:
    """Return the tool for one method, with the method's name.

    ``timeout`` returns the seconds to wait for the answer to given parameters;
    ``offered`` are fields that other tools hide.
    """

    async def call(caller: Caller, params: P) -> Result:
        seconds = CALL_TIMEOUT_S if timeout is None else timeout(params)
        return await caller.call(method, params, timeout=seconds)

    return made_of(
        method.params, method.name, summary, description, call, offered=offered
    )


def made_of(
    shape: type[P],
    name: str,
    summary: str,
    description: str,
    call: Callable[[Caller, P], Awaitable[Result]],
    *,
    offered: frozenset[str] = frozenset(),
) -> Tool:
    """Return a tool with the arguments of ``shape``."""
    refused = hidden(shape) - offered
    schema = schema_of(shape, offered=offered)

    async def run(caller: Caller, arguments: dict[str, Any]) -> Result:
        for unknown in sorted(refused.intersection(arguments)):
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"Invalid arguments: {unknown} is no known field.",
            )
        for name, field in schema["properties"].items():
            _check_length(name, arguments.get(name), field)
        typed = strict_json.convert(arguments, shape, what="arguments")
        return await call(caller, typed)

    return Tool(
        name=name, summary=summary, description=description, schema=schema, run=run
    )


def as_text(result: Result) -> str:
    """Return a result as JSON for the model."""
    if isinstance(result, Done):
        return '{"done":true}'
    return msgspec.json.encode(result).decode()


def _check_length(name: str, value: object, field: Schema) -> None:
    longest = field.get("maxLength")
    if isinstance(value, str) and longest is not None and len(value) > longest:
        sentence = f"{strict_json.too_long(name, longest)}."
        raise HiveError(ErrorCode.TOO_LARGE, sentence)
