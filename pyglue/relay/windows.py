"""The limit windows of a Claude subscription, from the headers of an answer.

``anthropic-ratelimit-unified-5h-utilization`` is the used share (0.82; above 1 if
exceeded), ``-5h-reset`` the Unix time of the next reset, and ``-5h-status`` is
``allowed``, ``allowed_warning`` or ``rejected``; likewise for ``7d``. Based on public
reports of such answers; no real subscription was queried.
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
    """Return the windows that an answer describes completely."""
    return tuple(_windows(headers))


def wait_s(windows: Sequence[RateWindow]) -> float | None:
    """Return the seconds until all used-up windows reset; None if there are none."""
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
