"""How a run of pytest ended, for ``.ci/run``: make tells nobody."""

from typing import Final

import pytest

_ENDED: Final = "cache/exitstatus"
"""The key of pytest's exit status in its cache."""


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the status beside what failed."""
    cache: pytest.Cache | None = getattr(session.config, "cache", None)
    if cache is not None:
        cache.set(_ENDED, int(exitstatus))
