"""The rules for names of agents.

One rule for every edge (tool, CLI, form, RPC) and every backend; a NixOS container
name has at most 11 characters, two of which are our prefix. Checked names are safe
as path components, tags and unit names.
"""

import re
from typing import Final

from pyglue.errors import ErrorCode, HiveError

LENGTH: Final = 9
"""Most characters of a name."""
PATTERN: Final = rf"^[a-z]([a-z0-9-]{{0,{LENGTH - 2}}}[a-z0-9])?$"
"""The pattern of a name, for machine-readable documents."""
_PATTERN: Final = re.compile(PATTERN)

OPERATOR: Final = "operator"
SYSTEM: Final = "system"
MANAGER: Final = "manager"
EVERYONE: Final = "all"
"""As a recipient: every agent except the sender."""

RESERVED: Final = frozenset({OPERATOR, SYSTEM, MANAGER, EVERYONE, "hive"})


def is_name(text: str) -> bool:
    """Return whether ``text`` has the shape of an agent's name."""
    return _PATTERN.fullmatch(text) is not None


def check(text: str) -> str:
    """Return ``text`` if it is shaped like an agent's name.

    Raises:
        HiveError: ``invalid_name`` with the rule.
    """
    if is_name(text):
        return text
    raise HiveError(
        ErrorCode.INVALID_NAME,
        f"Invalid agent name {text[:40]!a}: use 1 to {LENGTH} characters: a "
        "lower-case letter, then lower-case letters, digits and '-', not ending in "
        "'-'.",
    )


def check_new(text: str) -> str:
    """Return ``text`` if it is allowed as the name of a new agent.

    Raises:
        HiveError: ``invalid_name`` or ``name_reserved``.
    """
    name = check(text)
    if name in RESERVED:
        raise HiveError(
            ErrorCode.NAME_RESERVED,
            f"{name!r} is reserved for the hive itself. Choose another name.",
        )
    return name
