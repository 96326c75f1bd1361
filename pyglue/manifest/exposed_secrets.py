"""Secrets that an agent's programs see (``hyperhive.secrets.NAME.expose``).

``proposal_checks`` refuses uses that cannot work, hived asks which values an agent
gets, and the harness puts them where its programs find them. Everything that the hive
shows of the agent then passes ``redaction``, so it must be possible to find a value in
text.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.types import Manifest
from pyglue.net import hosts

VALUE_MIN: Final = 8
"""Least bytes of a value: shorter ones occur everywhere and cannot be redacted."""
VALUE_MAX: Final = 8 * 1024
"""Most bytes of a value: each form of each part is searched for in all output."""
_WORD_MAX: Final = 16
_WORD: Final = re.compile(r"[a-z_]+|[0-9]+")
"""Words that also occur in ordinary text and in the hive's own protocol."""
_OURS: Final = re.compile(
    r"PATH|HOME|SHELL|USER|LOGNAME|IFS|ENV|BASH_.*|LD_.*|NODE_OPTIONS|MCP_.*|"
    r"ANTHROPIC_.*|CLAUDE_.*|DISABLE_.*|ENABLE_.*|HIVE_.*|MAX_.*|.*_PROXY|"
    r"GIT_CONFIG_.*|PYTHON.*|TERM|NIX_REMOTE"
)
"""Variables that the hive sets itself, or that affect which programs run and how."""


def of(manifest: Manifest) -> dict[str, str]:
    """Return how each secret is exposed, ``env`` or ``file``, by name."""
    return {
        name: secret.expose
        for name, secret in sorted(manifest.secrets.items())
        if secret.expose is not None
    }


def allowed(limits: Mapping[str, tuple[str, ...]] | None, name: str) -> bool:
    """Return whether the operator's limits let an agent see a secret.

    An agent that sees it can send it anywhere: if a limit lists hosts, none may.
    """
    return limits is None or hosts.ANY in limits.get(name, ())


def problems(manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each exposure that cannot work as written."""
    for name, how in of(manifest).items():
        where = f"hyperhive.secrets.{name}"
        if manifest.secrets[name].inject:
            yield (
                f"{where} has inject and expose: with expose the agent sees the value "
                "anyway. Leave one out."
            )
        if how == "env" and _OURS.fullmatch(name):
            yield (
                f'{where}.expose is "env", but the variable {name} is the hive\'s own '
                "or affects how programs run. Rename the secret."
            )
        elif how == "env" and name in manifest.env:
            yield f"{where}.expose and hyperhive.env both set the variable {name}."


def unfit(value: str) -> str | None:
    """Return why a value cannot be redacted; None: it can.

    This is the rest of a sentence that begins with the value.
    """
    size = len(value.encode())
    if size < VALUE_MIN:
        return f"it has {size} bytes, and needs at least {VALUE_MIN}"
    if size < _WORD_MAX and _WORD.fullmatch(value):
        return "it is a plain word or number, which also occurs in ordinary text"
    if size > VALUE_MAX:
        return f"it has more than {VALUE_MAX} bytes"
    return None


def check_value(name: str, value: str) -> None:
    """Refuse a value that cannot be redacted.

    Raises:
        HiveError: ``bad_request``.
    """
    why = unfit(value)
    if why is not None:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"The value of {name} cannot be exposed to an agent: {why}. The hive could "
            f"not redact it. Set another value: hive secret set {name}.",
        )
