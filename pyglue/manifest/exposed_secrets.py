"""Secrets that an agent's programs see (``hyperhive.secrets.NAME.expose``).

``proposal_checks`` refuses what could not work, hived asks which values an agent gets,
and the harness puts them where its programs find them. All that the hive shows of the
agent passes ``redaction`` then, so a value must be one that can be found again.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.types import Manifest
from pyglue.net import hosts

VALUE_MIN: Final = 8
"""Bytes of a value: shorter ones stand everywhere by chance, and cannot be hidden."""
VALUE_MAX: Final = 8 * 1024
"""Bytes of a value: each form of each part of it is looked for in all output."""
_WORD_MAX: Final = 16
_WORD: Final = re.compile(r"[a-z_]+|[0-9]+")
"""What texts and the hive's own protocol hold by chance as well."""
_OURS: Final = re.compile(
    r"PATH|HOME|SHELL|USER|LOGNAME|IFS|ENV|BASH_.*|LD_.*|NODE_OPTIONS|MCP_.*|"
    r"ANTHROPIC_.*|CLAUDE_.*|DISABLE_.*|ENABLE_.*|HIVE_.*|MAX_.*|.*_PROXY|"
    r"GIT_CONFIG_.*|PYTHON.*|TERM|NIX_REMOTE"
)
"""Variables that the hive sets itself, or that decide which programs run and how."""


def of(manifest: Manifest) -> dict[str, str]:
    """Return how each secret is exposed, ``env`` or ``file``, by name."""
    return {
        name: secret.expose
        for name, secret in sorted(manifest.secrets.items())
        if secret.expose is not None
    }


def allowed(limits: Mapping[str, tuple[str, ...]] | None, name: str) -> bool:
    """Return whether the operator's limits let an agent see a secret.

    Whoever sees it can send it anywhere: where a limit lists hosts, nobody may.
    """
    return limits is None or hosts.ANY in limits.get(name, ())


def problems(manifest: Manifest) -> Iterator[str]:
    """Yield a sentence for each exposure that could not work as it is written."""
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
    """Say why a value could not be found again where it must be hidden; None: it can.

    The rest of a sentence that begins with the value.
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
    """Refuse a value that could not be hidden.

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
