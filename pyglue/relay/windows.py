"""The windows of a Claude subscription, as the headers of an answer tell them.

``anthropic-ratelimit-unified-5h-utilization`` is the share that is used (0.82; above 1
when it is exceeded), ``-5h-reset`` the second since 1970 at which it starts anew, and
``-5h-status`` is ``allowed``, ``allowed_warning`` or ``rejected``; the same for ``7d``.
Read from public reports of such answers; no real subscription was asked.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pyglue.api.relay import RateWindow

_BEGIN: Final = "anthropic-ratelimit-unified-"
_NAMES: Final = ("5h", "7d")
_SHARE: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,20})?")
_EPOCH: Final = re.compile(r"[0-9]{1,12}")
_REJECTED: Final = "rejected"


def windows_of(headers: Mapping[str, str]) -> tuple[RateWindow, ...]:
    """Return the windows that an answer tells completely."""
    return tuple(_windows(headers))


def wait_s(windows: Sequence[RateWindow]) -> float | None:
    """Return the seconds until every used-up window resets; None if none is used up."""
    resets = [window.resets_at for window in windows if window.is_used_up]
    return max(max(resets) - time.time(), 0.0) if resets else None


def _windows(headers: Mapping[str, str]) -> Iterator[RateWindow]:
    for name in _NAMES:
        used = headers.get(f"{_BEGIN}{name}-utilization", "")
        reset = headers.get(f"{_BEGIN}{name}-reset", "")
        is_used_up = headers.get(f"{_BEGIN}{name}-status") == _REJECTED
        if _EPOCH.fullmatch(reset) and (_SHARE.fullmatch(used) or is_used_up):
            yield RateWindow(
                name=name,
                used=float(used) if _SHARE.fullmatch(used) else 1.0,
                resets_at=float(reset),
                is_used_up=is_used_up,
            )
