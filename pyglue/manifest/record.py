"""The pinned record: what was approved about an agent, as bytes with a hash.

``{"manifest": …, "system": "<toplevel .drv>" | null}`` in canonical JSON; *manifest
hash* means the SHA-256 of these bytes, everywhere. hived makes the record once, at
submission; approval, deploying, the harness and rollback handle its bytes. Reading
is strict (no duplicate keys, no NaN, canonical form only), so that one hash has one
meaning. ``schema`` checks a manifest against the options; it is separate because the
harness, which starts often, does not need it.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.types import Manifest

MAX_BYTES: Final = 512 * 1024
"""Longest canonical record in bytes; its text crosses every socket in one message."""

_SIZE: Final = re.compile(r"([1-9][0-9]{0,8})([KMGT])")
_UNITS: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def canonical(value: object) -> bytes:
    """Return ``value`` as JSON with sorted keys, no spaces, in UTF-8.

    Raises:
        HiveError: ``manifest_invalid`` for what JSON cannot hold (NaN, infinity, lone
            surrogates, keys that are not strings).
    """
    _check_plain(value, depth=0)
    try:
        return json.dumps(
            value,
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
            check_circular=False,
        ).encode()
    except UnicodeEncodeError as error:
        raise _invalid("it contains text that is not Unicode") from error


def read_json(data: bytes, *, max_bytes: int = MAX_BYTES) -> Any:  # noqa: ANN401
    """Parse what Nix or a tag says of an agent: strictly, with unique keys.

    Raises:
        JsonError: ``manifest_invalid``; ``too_large`` above ``max_bytes``.
    """
    return strict_json.read(
        data,
        object,
        what="manifest",
        code=ErrorCode.MANIFEST_INVALID,
        max_bytes=max_bytes,
        unique=True,
    )


@dataclass(frozen=True)
class PinnedRecord:
    """A manifest and the system that it was evaluated with (None: local backend).

    ``manifest`` is the JSON as it was approved; nobody changes it.
    """

    manifest: Mapping[str, Any]
    system: str | None

    @cached_property
    def encoded(self) -> bytes:
        """The canonical bytes, which are what is stored, sent and hashed."""
        return canonical({"manifest": self.manifest, "system": self.system})

    def encode(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            HiveError: ``manifest_invalid``; ``too_large``.
        """
        if len(self.encoded) > MAX_BYTES:
            raise HiveError(
                ErrorCode.TOO_LARGE,
                f"The manifest has {len(self.encoded)} bytes; the limit is "
                f"{MAX_BYTES}. Shorten the prompt, the arguments or the variables.",
            )
        return self.encoded

    @cached_property
    def sha256(self) -> str:
        """The manifest hash, in hex."""
        return hashlib.sha256(self.encode()).hexdigest()

    @cached_property
    def typed(self) -> Manifest:
        """The manifest as types.

        Raises:
            HiveError: ``manifest_invalid`` if it is not of this version's options.
        """
        return strict_json.convert(
            self.manifest,
            Manifest,
            what="manifest for this version's options",
            code=ErrorCode.MANIFEST_INVALID,
        )


def decode(data: bytes) -> PinnedRecord:
    """Read a pinned record back from its canonical bytes.

    Raises:
        HiveError: ``manifest_invalid`` for anything but canonical bytes of a record;
            ``too_large``.
    """
    value = read_json(data)
    if not isinstance(value, dict) or value.keys() != {"manifest", "system"}:
        raise _invalid("it is not a pinned record")
    manifest, system = value["manifest"], value["system"]
    if not isinstance(manifest, dict) or not isinstance(system, str | None):
        raise _invalid("it is not a pinned record")
    record = PinnedRecord(manifest, system)
    if record.encode() != data:
        raise _invalid("its bytes are not in canonical form")
    return record


def memory_bytes(size: str) -> int:
    """Return the bytes of a size such as ``512M`` or ``2G``, in powers of 1024.

    Raises:
        HiveError: ``manifest_invalid`` with the form that is understood.
    """
    match = _SIZE.fullmatch(size)
    if match is None:
        raise HiveError(
            ErrorCode.MANIFEST_INVALID,
            f"Invalid size {size[:40]!a}: use a whole number and K, M, G or T, such "
            "as 512M or 2G.",
        )
    return int(match[1]) * _UNITS[match[2]]


def _check_plain(value: object, *, depth: int) -> None:
    """Refuse what json.dumps would change silently or die of."""
    if depth > 64:
        raise _invalid("it is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise _invalid("it has a key that is not text")
            _check_plain(inner, depth=depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_plain(inner, depth=depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _invalid("it contains a number that is not finite")
    elif not isinstance(value, str | int | None):
        raise _invalid(f"it contains a {type(value).__name__}")


def _invalid(why: str) -> HiveError:
    return HiveError(ErrorCode.MANIFEST_INVALID, f"Invalid manifest: {why}.")
