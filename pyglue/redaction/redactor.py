"""Redacts the values of secrets in agents' output, before the hive stores or shows it.

hived has one ``Redactor``, which knows every value that it has read since it started.
All output of agents passes it on entry: each line of their sockets (``jsonrpc``), the
bytes of their terminals and log, and the lines of their journal. The common case, a
line without a value, costs a search for each form of each value.

It finds the plain value, its JSON, URL and hexadecimal encodings, its base64 at each of
the three possible offsets, also with line breaks, and the long lines of a multi-line
value. An agent can still leak a value in another encoding: redaction prevents accidents
and is not a boundary.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar
from urllib.parse import quote, quote_plus

import msgspec

from pyglue import strict_json
from pyglue.manifest.exposed_secrets import VALUE_MIN, unfit
from pyglue.strict_json import JsonError

_ANCHOR: Final = 16
"""Characters of a form that are searched for in a line, before it is parsed."""
_LINE_MIN: Final = 16
"""Least characters of a value's line that is redacted by itself."""
_BLOCK: Final = 512
"""Bytes that are encoded together, of a long value."""
_PART_MIN: Final = 16
"""Least characters of a value's beginning that are redacted at a truncated end."""
_DEPTH: Final = 64
_PROTOCOL: Final = re.compile(r"[a-z_]{1,40}")
"""Keys that may be the protocol's own are not changed."""
_BYTES: Final = {"terminal_output": "data", "submit_chunk": "data"}
"""Calls with binary data; whatever of it is shown passes a ``Stream``."""
_LEFT: Final = {**_BYTES, "live_text": "text"}
"""Redacted later: a text that continues passes ``unfinished``."""
_CUT: Final = "…"
_BREAK: Final = r"(?:\r?\n)?"


_Text = TypeVar("_Text", str, bytes)


class Redactor:
    """Knows values, and replaces each by its name."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        """Names by value."""
        self._needles: tuple[bytes, ...] = ()
        self._patterns: tuple[tuple[re.Pattern[str], str], ...] = ()
        self._forms: dict[str, str] = {}
        self.raw: tuple[tuple[bytes, bytes], ...] = ()
        """Each form as bytes with what stands instead, the longest first."""

    def learn(self, name: str, value: str) -> None:
        """Redact a value from now on; some cannot be (``exposed_secrets.unfit``)."""
        if value in self._known or unfit(value) is not None:
            return
        self._known[value] = name
        wrapped = dict.fromkeys(_base64(value), name)
        for form in (*_plain(value), *wrapped):
            self._forms.setdefault(form, name)
        # Of two with the same beginning, the longer one is redacted completely.
        self._forms = dict(sorted(self._forms.items(), key=lambda one: -len(one[0])))
        self.raw = tuple(
            (form.encode(), _instead(name).encode())
            for form, name in self._forms.items()
        )
        patterns = [
            (re.compile(_BREAK.join(map(re.escape, form))), name) for form in wrapped
        ]
        self._patterns = (*self._patterns, *patterns)
        self._needles = tuple(dict.fromkeys(self._all_needles()))

    def _all_needles(self) -> Iterator[bytes]:
        for form in self._forms:
            # At most one of the two contains a line break.
            for part in (form[:_ANCHOR], form[_ANCHOR : 2 * _ANCHOR]):
                if len(part) >= VALUE_MIN:
                    for ascii_only in (False, True):
                        yield json.dumps(part, ensure_ascii=ascii_only)[1:-1].encode()

    # --- lines of JSON ----------------------------------------------------------------

    def line(self, line: bytes) -> bytes:
        """Return a line of the protocol without values, unchanged if it has none."""
        for needle in self._needles:
            if needle in line:
                return self._rewritten(line)
        return line

    def _rewritten(self, line: bytes) -> bytes:
        try:
            envelope = strict_json.read(line, dict[str, Any])
        except JsonError:
            return line  # nobody will read it either
        left = _LEFT.get(str(envelope.get("method")))
        for part in ("params", "result", "error"):
            value = envelope.get(part)
            if part == "params" and left is not None and isinstance(value, dict):
                data = value.pop(left, "")
                envelope[part] = {**self._clean(value, 0), left: data}
            elif part in envelope:
                envelope[part] = self._clean(value, 0)
        return msgspec.json.encode(envelope)

    def _clean(self, value: Any, depth: int) -> Any:  # noqa: ANN401 (any JSON)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict | list) and depth >= _DEPTH:
            return self.text(msgspec.json.encode(value).decode())
        if isinstance(value, dict):
            return {
                key if _PROTOCOL.fullmatch(key) else self.text(key): self._clean(
                    inner, depth + 1
                )
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self._clean(inner, depth + 1) for inner in value]
        return value

    # --- text -------------------------------------------------------------------------

    def text(self, text: str) -> str:
        """Return a text without values, or the beginning of one at a truncated end."""
        text = self._without_whole(text)
        whole = text.removesuffix(_CUT)
        for form, name in self._forms.items():
            begun = _begun(whole, form)
            if begun >= _PART_MIN:
                return whole[:-begun] + _instead(name) + text[len(whole) :]
        return text

    def _without_whole(self, text: str) -> str:
        for form, name in self._forms.items():
            if form in text:
                text = text.replace(form, _instead(name))
        if "\n" in text:
            for pattern, name in self._patterns:
                text = pattern.sub(_instead(name), text)
        return text

    def unfinished(self, text: str) -> str:
        """Return an unfinished text without values, or a suffix that could start one.

        Unlike in ``text``, the suffix can be short: the next text has the rest.
        """
        text = self._without_whole(text)
        end = len(text) - max((_begun(text, one) for one in self._forms), default=0)
        # Of a value in lines of its own, the first ones may be there.
        bare = text.replace("\r", "").replace("\n", "")
        begun = max((_begun(bare, one) for one in self._forms), default=0)
        wrapped = len(text)
        while begun > 0:
            wrapped -= 1
            begun -= text[wrapped] not in "\r\n"
        return text[: min(end, wrapped)]

    def stream(self) -> "Stream":
        """Return a redactor of bytes that arrive in pieces."""
        return Stream(self)


class Stream:
    """Redacts values in bytes, even if one is split over several pieces.

    It withholds a suffix that could start a value. ``flush`` releases a short one, so
    that typed text is visible immediately; if it was the start of a value after all,
    only these few bytes of it were shown.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept = b""
        self._shown = 0
        """Bytes of ``_kept`` that were passed on already."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return the ones that may be passed on now."""
        forms = self._redactor.raw
        if not forms:
            return data
        data, shown = self._kept + data, self._shown
        found: list[bytes] = []
        at = 0
        while (first := _first(data, at, forms)) is not None:
            begin, end, instead = first
            found += (data[max(at, shown) : begin], instead)
            at = end
        rest = data[at:]
        shown = max(0, shown - at)
        end = len(rest) - max(_begun(rest, form) for form, _ in forms)
        found.append(rest[min(shown, end) : end])
        self._kept = rest[end:]
        self._shown = max(0, shown - end)
        return b"".join(found)

    @property
    def waits(self) -> bool:
        """Whether bytes are withheld that ``flush`` would release."""
        return self._shown < len(self._kept) < VALUE_MIN

    def flush(self) -> bytes:
        """Return the withheld bytes, if they are few."""
        if not self.waits:
            return b""
        data, self._shown = self._kept[self._shown :], len(self._kept)
        return data

    def end(self) -> bytes:
        """Return the withheld bytes at the end of the stream."""
        data, self._kept, self._shown = self._kept[self._shown :], b"", 0
        return data


def _instead(name: str) -> str:
    return f"[secret {name}]"


def _first(
    data: bytes, at: int, forms: tuple[tuple[bytes, bytes], ...]
) -> tuple[int, int, bytes] | None:
    """Return the start and end of the first form, the longest if there are several."""
    found: tuple[int, int, bytes] | None = None
    for form, instead in forms:
        begin = data.find(form, at)
        if begin >= 0 and (found is None or begin < found[0]):
            found = (begin, begin + len(form), instead)
    return found


def _begun(text: _Text, form: _Text) -> int:
    """Return the length of the suffix that is the beginning of a form."""
    at = max(0, len(text) - len(form) + 1)
    while (at := text.find(form[:1], at)) >= 0:
        if form.startswith(text[at:]):
            return len(text) - at
        at += 1
    return 0


def _plain(value: str) -> Iterator[str]:
    """Yield the value and its encodings except base64."""
    lines = [one for one in value.splitlines() if len(one) >= _LINE_MIN]
    whole = [value, *(one for one in lines if not one.startswith("-----"))]
    for one in dict.fromkeys(whole):
        yield one
        for ascii_only in (False, True):
            once = json.dumps(one, ensure_ascii=ascii_only)[1:-1]
            yield once
            yield json.dumps(once)[1:-1]
    for escaped in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield escaped
        yield re.sub("%..", lambda found: found[0].lower(), escaped)
    for block in _blocks(value):
        yield block.hex()
        yield block.hex().upper()


def _base64(value: str) -> Iterator[str]:
    """Yield the parts of the value's base64 that do not depend on what surrounds it."""
    for block in _blocks(value):
        for before in range(3):
            first = -(-before * 8 // 6)
            last = (before + len(block)) * 8 // 6
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(bytes(before) + block).decode()[first:last]


def _blocks(value: str) -> Iterator[bytes]:
    data = value.encode()
    for at in range(0, len(data), _BLOCK):
        block = data[at : at + _BLOCK]
        if len(block) >= VALUE_MIN:
            yield block
