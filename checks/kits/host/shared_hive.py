"""One hive for all tests of a module, which are independent of each other's effects."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from checks.kits.host.hive import Hive, running_hive


def shared_hive(**options: Any) -> Any:
    """Return the fixture; ``options`` are those of ``running_hive``.

    A module has it under the name that its tests ask for: ``hive = shared_hive()``.
    """

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def hive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hive]:
        async with running_hive(tmp_path_factory.mktemp("hive"), **options) as running:
            yield running

    return hive
