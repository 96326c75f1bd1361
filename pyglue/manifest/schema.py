"""The trusted options, as modules/agent/schema.json has them: checks and kinds.

``validate`` is the check outside Nix that every manifest passes before anyone sees
it: a module can undo the options that check it, so nothing that Nix says about a
manifest counts. ``Schema.options`` is what the policy diff walks. Both read the
generated schema only, so that an option added in Nix needs no line of Python.
"""

import copy
import difflib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.record import PinnedRecord
from pyglue.paths import share
from pyglue.text.display import listed, quoted, visible
from pyglue.text.option_path import ROOT, option_path

if TYPE_CHECKING:  # half of the time to import this: only what validates needs it
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_PROBLEMS_MAX: Final = 20
_KINDS: Final = {
    "string": "text",
    "array": "a list",
    "object": "a set",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}


class Words(msgspec.Struct, frozen=True, kw_only=True, rename={"every": "all"}):
    """How an option is spoken of; modules/agent/options.nix says what each means."""

    name: str | None = None
    prefix: str = ""
    suffix: str = ""
    null: str | None = None
    none: str | None = None
    default: str | None = None
    may: str | None = None
    thing: str | None = None
    things: str | None = None
    every: str | None = None
    on: str | None = None
    off: str | None = None
    command: tuple[str, ...] = ()
    also: str | None = None


@dataclass(frozen=True, kw_only=True)
class Option:
    """One trusted option. ``default`` is None too where it must be set.

    ``path`` is below ``hyperhive``, or below the entry for ``inner``, the options of
    each entry of a set. ``widens`` may be a kind that nobody knows; ``danger`` is one
    of ``api.approvals.Danger``, None where a change of the option cannot widen.
    """

    path: tuple[str, ...]
    widens: str
    words: Words
    description: str
    default: Any
    inner: tuple["Option", ...]
    danger: str | None = None


@dataclass(frozen=True)
class Schema:
    """The JSON Schema of a manifest."""

    document: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path | None = None) -> "Schema":
        """Read the schema that belongs to this installation, or the one at ``path``."""
        found = path or share() / "modules" / "agent" / "schema.json"
        return cls(strict_json.read(found.read_bytes(), dict[str, Any]))

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Every option, sorted by path."""
        return tuple(_options(self.document, ()))

    @cached_property
    def validator(self) -> "Draft202012Validator":
        """The document as jsonschema's checker."""
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self.document)

    def validate(self, value: object) -> Mapping[str, Any]:
        """Return ``value`` if it is a manifest of these options.

        Raises:
            HiveError: ``manifest_invalid``; ``details["problems"]`` has a sentence
                for each option that is wrong. ``too_large``.
        """
        errors = itertools.islice(self.validator.iter_errors(value), _PROBLEMS_MAX)
        problems = [problem for error in errors for problem in _problems(error)]
        if not problems and _holds_nul(value):
            problems = [{"option": ROOT, "message": "A text contains a NUL character."}]
        if problems or not isinstance(value, dict):
            raise HiveError(
                ErrorCode.MANIFEST_INVALID,
                "The manifest does not match the options of an agent: "
                + " ".join(problem["message"] for problem in problems[:3]),
                details={"problems": problems},
            )
        record = PinnedRecord(value, None)
        record.encode()
        _ = record.typed
        return value


def validate(value: object, schema: Schema | None = None) -> Mapping[str, Any]:
    """Return ``value`` if it is a manifest; see ``Schema.validate``."""
    return (schema or Schema.load()).validate(value)


def completed(
    manifest: Mapping[str, Any], schema: Schema | None = None
) -> dict[str, Any]:
    """Return an earlier version's manifest with the options that it had not yet.

    An added option's default is what held before, so this says the same.
    """
    return _completed(manifest, (schema or Schema.load()).options)


def _completed(values: Mapping[str, Any], options: Iterable[Option]) -> dict[str, Any]:
    found = copy.deepcopy(dict(values))
    for option in options:
        *groups, name = option.path
        at: Any = found
        for group in groups:
            at = at.setdefault(group, {})
        value = at.setdefault(name, copy.deepcopy(option.default))
        if option.inner and isinstance(value, dict):
            at[name] = {k: _completed(v, option.inner) for k, v in value.items()}
    return found


def _options(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Option]:
    for name, sub in schema["properties"].items():
        here = (*path, name)
        if "x-widens" not in sub and "properties" in sub:
            yield from _options(sub, here)
            continue
        entry = sub.get("additionalProperties")
        grouped = isinstance(entry, dict) and "properties" in entry
        yield Option(
            path=here,
            widens=sub.get("x-widens", ""),
            words=strict_json.convert(sub.get("x-words", {}), Words),
            description=sub.get("description", ""),
            default=sub.get("default"),
            inner=tuple(_options(entry, ())) if grouped else (),
            danger=sub.get("x-danger"),
        )


def _problems(error: "ValidationError") -> Iterator[dict[str, str]]:
    """Say each thing that is wrong where jsonschema found one error."""
    path = list(error.absolute_path)
    wanted: Any = error.validator_value
    found: Any = error.instance
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        known = schema.get("properties", {})
        for name in itertools.islice(sorted(set(found) - set(known)), 5):
            close = difflib.get_close_matches(name[:100], known, n=1)
            meant = f" Did you mean {option_path([*path, close[0]])}?" if close else ""
            yield _problem([*path, name], f"is not an option.{meant}")
    elif error.validator == "required":
        for name in wanted:
            if name not in found:
                yield _problem([*path, name], "must be set.")
    elif "propertyNames" in error.absolute_schema_path:
        name = quoted(str(found), limit=80)
        yield _problem(path, f"contains an invalid key: {name}.")
    else:
        yield _problem(path, _what(error))


def _problem(path: Iterable[str | int], what: str) -> dict[str, str]:
    option = option_path(path)
    return {"option": option, "message": f"{option} {what}"}


def _what(error: "ValidationError") -> str:
    """Finish the sentence that begins with the option's path."""
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            names = " or ".join(_KINDS[kind] for kind in kinds)
            return f"must be {names}; it is {_value(error.instance)}."
        case "enum":
            choice = listed(map(str, wanted))
            return f"must be one of {choice}; it is {_value(error.instance)}."
        case "pattern":
            return f"is {_value(error.instance)}, but must have the form {wanted}."
        case "maxLength":
            return f"has more than {wanted} characters."
        case "maxItems" | "maxProperties":
            return f"has more than {wanted} entries."
        case "minimum" | "exclusiveMinimum" | "maximum":
            bound = {"minimum": "at least", "maximum": "at most"}
            words = bound.get(str(error.validator), "above")
            return f"must be {words} {wanted}; it is {_value(error.instance)}."
    return f"is invalid: {visible(error.message, limit=200)}."


def _value(value: object) -> str:
    return visible(json.dumps(value, default=str), limit=80)


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, value.values()))
    return isinstance(value, list) and any(map(_holds_nul, value))
