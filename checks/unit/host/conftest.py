"""A kit for each test: a store, and the services that need no backend.

A module whose agents or clock are its own has a ``kit`` of its own.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.host.store import Kit, open_kit


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    """Open one without agents."""
    opened = await open_kit(tmp_path)
    yield opened
    await opened.store.close()
