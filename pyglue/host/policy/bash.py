"""Bash patterns of a proposal that let run more than they seem to, in words.

Called by ``diff``; what a pattern means is in ``bash_policy``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyglue.api.approvals import Effect, PolicyChange
from pyglue.bash_policy import review
from pyglue.text.display import quoted
from pyglue.text.option_path import option_path

_OPTION: Final = option_path(("bash", "allow"))


def pattern_changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> Iterator[PolicyChange]:
    """Say of each new pattern what it lets run beyond what it seems to."""
    known = set(review.patterns(before or {}))
    for text in dict.fromkeys(review.patterns(after)):
        power = None if text in known else review.power(text)
        if power is not None:
            yield PolicyChange(
                option=_OPTION,
                effect=Effect.WIDENS,
                sentence=f"The Bash pattern {quoted(text)}: {power}.",
                before=None,
                after=None,
            )
