"""Hostile text, and a hive in which every free text is hostile."""

import itertools
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from checks.kits.web.hive import FakeHive

NASTY: Final = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><nasty>"
    "{{ 7*7777 }}{% raw %}"
    "\x1b[31m\x07\x00\r\x7f\x85\u202e\u2066\u200b\u2028\ufeff\U000e0041\ud7ff"
    "]]>--></textarea></title>javascript:alert(1)"
)
_MARKDOWN: Final = r"""
[click](javascript:alert(1)) ![i](https://evil.example/i.png) <javascript:alert(1)>
[d](data:text/html,<script>alert(1)</script>) [v](//evil.example) &#x202e;&lt;b&gt;
[x](https://evil.example 't" onfocus=alert(1) autofocus="') https://evil.example/"onload=x

[r]: javascript:alert(1) 't'

![r] [r] <svg onload=alert(1)>

```x" onload=alert(1)
<script>alert(1)</script>
```

| a | b |
|:-:|--:|
| <img src=x onerror=alert(1)> | `</code><script>` |
"""
CORPUS: Final = (
    NASTY,
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    '" autofocus onfocus=alert(1) x="',
    "javascript:alert(1)//<a href=javascript:alert(1)>x</a>",
    "<style>@import'//evil.example'</style><link rel=stylesheet href=//evil.example>",
    "<base href=//evil.example><form action=//evil.example><meta http-equiv=refresh>",
    "</pre></code></td></table><math><mtext></form><form><mglyph><style></math>",
    "\x1b]0;title\x07\x1b[2J\x9b31m \u202edrowssap\u202c \u2067\u2028\u2029 \u0430dmin",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#x3c;img onerror=alert(1)&#x3e;",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} <%= 7*7 %> #{7*7}",
    _MARKDOWN,
    "x" * 100_000,
)
_FIXED: Final = frozenset(
    {"name", "agent", "asker", "sender", "recipient", "to", "role"}
)
"""What hived checks itself: these never hold free text."""


def poison(value: Any, *texts: str) -> Any:
    """Return the same data with every free text replaced by the next of ``texts``."""
    return _poison(value, itertools.cycle(texts or (NASTY,)))


def _poison(value: Any, texts: Iterator[str]) -> Any:
    if isinstance(value, msgspec.Struct):
        changed = {
            name: _poison(getattr(value, name), texts)
            for name in value.__struct_fields__
            if name not in _FIXED
        }
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(_poison(one, texts) for one in value)
    if isinstance(value, dict):
        return {
            f"{key}{next(texts)}": _poison(one, texts) for key, one in value.items()
        }
    if type(value) is str:
        return next(texts)
    return value


def file_name(text: str) -> str:
    """Return ``text`` as the name of a file, as far as it can be one."""
    fits = text.replace("/", "\u2215").replace("\0", "0").encode()[:200]
    return fits.decode(errors="ignore")


def poisoned(hive: FakeHive, *texts: str) -> None:
    """Let every free text that the hive answers be one of ``texts``, in turn."""
    turns = itertools.cycle(texts)

    def rows(found: list[Any]) -> list[Any]:
        return [_poison(one, turns) for one in found]

    hive.agents, hive.questions = rows(hive.agents), rows(hive.questions)
    hive.inbox, hive.messages = rows(hive.inbox), rows(hive.messages)
    hive.audit, hive.checks = rows(hive.audit), rows(hive.checks)
    hive.approvals = {n: _poison(one, turns) for n, one in hive.approvals.items()}
    hive.operations = {n: _poison(one, turns) for n, one in hive.operations.items()}
    top = hive.layout.agent_state("alice")
    top.mkdir(parents=True, exist_ok=True)
    for text in texts:
        (top / file_name(text)).write_bytes(text.encode())
    hive.warnings = texts
    hive.log = (*texts, *texts)
