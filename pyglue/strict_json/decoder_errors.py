"""Error texts for values of the wrong type: the decoder's own name its types.

``Expected `str` of length >= 1 - at `$.body``` becomes *body is empty*. Used by
``strict_json`` for its sentences, and by the dashboard, which names the value too.
"""

import re
from typing import Final, NamedTuple

UNKNOWN: Final = "is no known field"
_PLACE: Final = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`\Z")
_TYPES: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_LENGTH: Final = re.compile(
    r"Expected `(?P<type>str|array|object|bytes)` of length (?P<sign>[<>]=) (?P<n>\d+)"
)
_BOUND: Final = re.compile(r"Expected `(?:int|float)` (?P<sign>[<>]=?) (?P<n>\S+)")
_TYPE: Final = re.compile(r"Expected `(?P<types>[^`]+)`, got `(?P<got>[^`]+)`")
_PATTERN: Final = re.compile(r"Expected `str` matching regex .*", re.DOTALL)
_VALUE: Final = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_BOUNDS: Final = {
    ">=": "must be at least",
    "<=": "must be at most",
    ">": "must be more than",
    "<": "must be less than",
}


class Wrong(NamedTuple):
    """What is wrong: ``where`` is the field, empty for the whole value."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where or 'it'} {self.what}"


def read(message: str) -> Wrong | None:
    """Return what the decoder says in its own words; None if that is not known."""
    place = _PLACE.search(message)
    path = "" if place is None else place["path"].lstrip(".")
    text = message if place is None else message[: place.start()]
    for pattern, what in ((_MISSING, "is missing"), (_UNKNOWN, UNKNOWN)):
        found = pattern.fullmatch(text)
        if found is not None:
            return Wrong(f"{path}.{found['name']}" if path else found["name"], what)
    problem = _what(text)
    if problem is None and path:
        problem = f"is invalid ({text[:1].lower()}{text[1:]})"
    return None if problem is None else Wrong(path, problem)


def _what(text: str) -> str | None:
    if found := _LENGTH.fullmatch(text):
        return _length(found["type"], found["sign"], int(found["n"]))
    if found := _BOUND.fullmatch(text):
        number = found["n"].removesuffix(".0")
        return f"{_BOUNDS[found['sign']]} {number}"
    if found := _TYPE.fullmatch(text):
        kinds = [_TYPES.get(one, one) for one in found["types"].split(" | ")]
        got = _TYPES.get(found["got"], found["got"])
        if found["got"] == "float" and "int" in found["types"]:
            got = "one with a fraction"
        return f"must be {' or '.join(kinds)}, not {got}"
    if found := _VALUE.fullmatch(text):
        return f"cannot be {found['value']}"
    return "has characters that are not allowed there" if _is_form(text) else None


def _is_form(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def _length(kind: str, sign: str, number: int) -> str:
    things = "characters" if kind == "str" else "entries"
    if sign == ">=":
        least = f"has fewer than {number} {things}"
        return "is empty" if number == 1 else least
    return f"has more than {number} {things}"
