"""Read ``.drv`` files: ATerm, strictly in the form that Nix writes.

Used for the package diff. The texts in a derivation are chosen by Nix code that nobody
has approved yet, so files are limited in size, and any deviation is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pyglue.errors import ErrorCode, HiveError

MAX_BYTES: Final = 16 * 1024**2

_STRING: Final = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Output:
    """An output; ``algorithm`` and ``hash`` are empty unless the output is fixed."""

    name: str
    path: str
    algorithm: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """One derivation. ``inputs`` are other derivations, ``sources`` plain paths."""

    outputs: tuple[Output, ...]
    inputs: tuple[str, ...]
    sources: tuple[str, ...]
    system: str
    builder: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def fixed(self) -> Output | None:
        """The output whose content is pinned by hash; its build has network access."""
        for output in self.outputs:
            if output.algorithm:
                return output
        return None


def parse(data: bytes) -> Derivation:
    """Read the bytes of a ``.drv`` file.

    Raises:
        HiveError: ``eval_failed`` for anything but a derivation; ``too_large``.
    """
    if len(data) > MAX_BYTES:
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"A derivation has {len(data)} bytes; the limit is {MAX_BYTES}. Put large "
            "texts into files.",
        )
    reader = _Reader(data)
    reader.expect(b"Derive(")
    outputs = reader.list(reader.output)
    reader.expect(b",")
    inputs = reader.list(reader.input)
    reader.expect(b",")
    sources = reader.list(reader.string)
    reader.expect(b",")
    system = reader.string()
    reader.expect(b",")
    builder = reader.string()
    reader.expect(b",")
    arguments = reader.list(reader.string)
    reader.expect(b",")
    pairs = reader.list(reader.pair)
    reader.expect(b")")
    environment = dict(pairs)
    if not reader.ended or len(environment) != len(pairs):
        raise _bad()
    return Derivation(
        outputs=outputs,
        inputs=inputs,
        sources=sources,
        system=system,
        builder=builder,
        arguments=arguments,
        environment=environment,
    )


class _Reader:
    """Reads the bytes from left to right, each of them once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._data)

    def expect(self, text: bytes) -> None:
        if not self._data.startswith(text, self._at):
            raise _bad()
        self._at += len(text)

    def string(self) -> str:
        match = _STRING.match(self._data, self._at)
        if match is None:
            raise _bad()
        self._at = match.end()
        raw = match[1]
        if b"\\" in raw:
            raw = _ESCAPE.sub(lambda found: _PLAIN.get(found[1], found[1]), raw)
        # Nix strings are bytes; those that are not text are only displayed.
        return raw.decode("utf-8", "backslashreplace")

    def list(self, item: Callable[[], _T]) -> tuple[_T, ...]:
        self.expect(b"[")
        found: list[_T] = []
        while not self._data.startswith(b"]", self._at):
            if found:
                self.expect(b",")
            found.append(item())
        self.expect(b"]")
        return tuple(found)

    def output(self) -> Output:
        name, path, algorithm, digest = self._tuple(4)
        return Output(name=name, path=path, algorithm=algorithm, hash=digest)

    def input(self) -> str:
        self.expect(b"(")
        path = self.string()
        self.expect(b",")
        self.list(self.string)
        self.expect(b")")
        return path

    def pair(self) -> tuple[str, str]:
        name, value = self._tuple(2)
        return name, value

    def _tuple(self, count: int) -> tuple[str, ...]:
        self.expect(b"(")
        found = []
        for number in range(count):
            if number:
                self.expect(b",")
            found.append(self.string())
        self.expect(b")")
        return tuple(found)


def _bad() -> HiveError:
    return HiveError(
        ErrorCode.EVAL_FAILED,
        "This hive cannot read a derivation of this system. Experimental kinds of "
        "derivations are not supported in agent.nix.",
    )
