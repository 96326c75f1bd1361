"""What a tool is, and how one call of it becomes text for a model.

``over`` makes a tool of one method. Results are JSON; a refusal is its sentence,
which tells the model what to do instead.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec

from pyglue.api.common import Done, Method, Params, Result
from pyglue.errors import ErrorCode, HiveError

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)

CALL_TIMEOUT_S: Final = 60.0

Schema = dict[str, Any]


class Caller(Protocol):
    """Whatever calls hived: a ``Connection``, or a link that finds a new one."""

    async def call(
        self, method: Method[P, R], params: P, *, timeout: float | None = None
    ) -> R:
        """Call and return the answer, or raise HiveError."""
        ...


@dataclass(frozen=True)
class Answer:
    """What the model reads."""

    text: str
    is_error: bool


@dataclass(frozen=True)
class Tool:
    """One tool. ``run`` takes checked arguments and returns a result of the API."""

    name: str
    description: str
    schema: Schema
    run: Callable[[Caller, dict[str, Any]], Awaitable[Result]]

    async def call(self, caller: Caller, arguments: dict[str, Any]) -> Answer:
        """Run for a model: never raises for what the call itself did wrong."""
        try:
            result = await self.run(caller, arguments)
            return Answer(as_text(result), is_error=False)
        except HiveError as error:
            return Answer(f"{error.message} (error: {error.code.value})", is_error=True)
        except (UnicodeEncodeError, msgspec.ValidationError) as error:
            return Answer(f"The arguments are not right: {error}.", is_error=True)


def over(
    method: Method[P, R],
    description: str,
    properties: Schema,
    *,
    required: tuple[str, ...] = (),
    timeout: Callable[[P], float] | None = None,
) -> Tool:
    """Return the tool that is one method, with the method's name.

    ``timeout`` gives the seconds to wait for the answer to certain parameters.
    """

    async def run(caller: Caller, arguments: dict[str, Any]) -> Result:
        params = msgspec.convert(arguments, method.params)
        seconds = CALL_TIMEOUT_S if timeout is None else timeout(params)
        return await caller.call(method, params, timeout=seconds)

    schema = object_schema(properties, required)
    return Tool(method.name, description, schema, run)


def object_schema(properties: Schema, required: tuple[str, ...]) -> Schema:
    """Return the JSON schema of a tool's arguments."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def as_text(result: Result) -> str:
    """Return a result as the JSON that the model reads."""
    if isinstance(result, Done):
        return '{"done":true}'
    return msgspec.json.encode(result).decode()


def convert(arguments: dict[str, Any], shape: type[P]) -> P:
    """Return arguments as a type.

    Raises:
        HiveError: ``bad_request`` with the field that does not fit.
    """
    try:
        return msgspec.convert(arguments, shape)
    except msgspec.ValidationError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"The arguments are not right: {error}."
        ) from error
