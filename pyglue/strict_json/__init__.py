"""Reads JSON: the one place that decodes it, and the one error if it is invalid.

Whatever is wrong with the bytes (no UTF-8, no JSON, nested too deeply, a number out of
range, a field that is missing, unknown or of another type, too many bytes), callers get
``JsonError``, a ``HiveError`` with a sentence. The libraries below raise five unrelated
types for these, and which of them is a ``ValueError`` differs between versions: so
nothing else catches them, which a test checks.

``unique`` is for content of a hash, a signature or a person's approval: it refuses
duplicate keys, of which readers would otherwise choose one each.

Callers only need ``decode``; ``depth`` bounds the nesting, ``decoder_errors`` turns a
decoder's errors into sentences.
"""

from pyglue.strict_json.decode import (
    Data,
    Fault,
    JsonError,
    convert,
    indented,
    read,
    reader,
    too_long,
    with_whole_characters,
)

__all__ = [
    "Data",
    "Fault",
    "JsonError",
    "convert",
    "indented",
    "read",
    "reader",
    "too_long",
    "with_whole_characters",
]
