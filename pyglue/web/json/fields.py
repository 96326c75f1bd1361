"""Converts text in a URL or a form to the parameters of a call.

The limits are those of the call's own struct: nothing is parsed, cut or corrected here.
``Fields`` is that struct in the form of a request: every value is text, an optional
field is omitted and never ``null``, and fields may have other names.
"""

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import NODEFAULT, Meta
from werkzeug.datastructures import MultiDict

from pyglue import names, strict_json
from pyglue.api.common import AgentName, Params
from pyglue.errors import ErrorCode, HiveError
from pyglue.strict_json import Fault, JsonError, decoder_errors

T = TypeVar("T")

_NAME: Final = Meta(pattern=names.PATTERN, max_length=names.LENGTH)
_SHOWN: Final = 40


class Fields:
    """The parameters of ``of`` as the fields of a request."""

    def __init__(
        self,
        of: type[Params],
        *,
        path: Iterable[str] = (),
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """``path`` are the fields that are part of the path.

        ``renamed`` has the names of fields that are called differently here.
        """
        self.of = of
        self.path = frozenset(path)
        self._known_as = {
            one.name: (renamed or {}).get(one.name, one.name)
            for one in msgspec.structs.fields(of)
        }
        hints = typing.get_type_hints(of, include_extras=True)
        kinds = {name: _present(hints[name]) for name in self._known_as}
        self._names = [self._known_as[n] for n, kind in kinds.items() if _names(kind)]
        self._many = {self._known_as[n] for n, kind in kinds.items() if _is_many(kind)}
        self.shape = msgspec.defstruct(
            f"{of.__name__}Fields",
            [
                (self._known_as[one.name], kinds[one.name], one.default)
                for one in msgspec.structs.fields(of)
            ],
            frozen=True,
            kw_only=True,
            forbid_unknown_fields=True,
        )
        """The type to which a request is converted, and which describes it."""

    def read(
        self,
        given: MultiDict[str, str],
        path: Mapping[str, str],
        *,
        too_long: ErrorCode = ErrorCode.BAD_REQUEST,
    ) -> Params:
        """Return the parameters in a request.

        Raises:
            HiveError: ``bad_request`` for a field that is unknown, missing or outside
                its limits; ``too_long`` for a text; ``invalid_name``.
        """
        values: dict[str, Any] = dict(path)
        for name, found in given.lists():
            if name in path:
                raise _bad(f"Unknown field {name[:_SHOWN]!r}: the path already has it.")
            one = found if name in self._many else found[0]
            values[name] = one if name in self._many or len(found) == 1 else found
        for name in self._names:
            if isinstance(values.get(name), str):
                names.check(values[name])
        shaped = converted(values, self.shape, too_long=too_long)
        return self.of(
            **{own: getattr(shaped, name) for own, name in self._known_as.items()}
        )

    def required(self, name: str) -> bool:
        """Return whether a field, by its name here, is required."""
        default = {one.name: one for one in msgspec.structs.fields(self.shape)}[name]
        return default.default is NODEFAULT


def converted(
    values: Mapping[str, Any],
    shape: type[T],
    *,
    too_long: ErrorCode = ErrorCode.BAD_REQUEST,
) -> T:
    """Convert text fields to a type.

    Raises:
        HiveError: ``bad_request`` with the field, its value and what is allowed;
            ``too_long`` for a text.
    """
    try:
        return strict_json.convert(values, shape, strict=False)
    except JsonError as error:
        if error.fault is Fault.LENGTH:
            raise HiveError(too_long, error.message) from error
        raise HiveError(
            ErrorCode.BAD_REQUEST, _sentence(error.reason, values)
        ) from error


def _sentence(message: str, values: Mapping[str, Any]) -> str:
    wrong = decoder_errors.read(message)
    if wrong is None:
        return f"Invalid request: {message}."
    if wrong.what == decoder_errors.UNKNOWN:
        return f"Unknown field {wrong.where[:_SHOWN]!r}."
    value = values.get(wrong.where.partition("[")[0])
    if not isinstance(value, str):
        return f"Invalid request: {wrong}."
    return f"Invalid {wrong.where} {repr(value)[:_SHOWN]}: it {wrong.what}."


def _bad(sentence: str) -> HiveError:
    return HiveError(ErrorCode.BAD_REQUEST, sentence)


def _present(hint: object) -> object:
    """Return the type of a field without None, which stands for its absence."""
    parts = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in parts if kind is not type(None)]
        assert len(kinds) == 1, f"{hint} can be more than one thing"  # noqa: S101
        hint = kinds[0]
    if typing.get_origin(hint) is Annotated:
        kind, first, *more = typing.get_args(hint)
        if first is typing.get_args(AgentName)[1]:
            return Annotated[(kind, _NAME, *more)]
    return hint


def _names(kind: object) -> bool:
    """Return whether a field is the name of an agent."""
    return typing.get_origin(kind) is Annotated and typing.get_args(kind)[1] is _NAME


def _is_many(kind: object) -> bool:
    origin = typing.get_origin(kind)
    inner = typing.get_args(kind)[0] if origin is Annotated else kind
    return typing.get_origin(inner) is tuple
