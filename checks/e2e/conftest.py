"""A harness's surroundings: directories, a hived in the test, a scripted model.

A module that runs a whole hive has a ``hive`` of its own.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from checks.e2e.kit.warm import Bed
from checks.kits.harness.bench import FakeHive
from checks.kits.harness.process import Home, model_here


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    home = Home(tmp_path / "bob")
    async with model_here(home.run / "model.sock"):
        yield home


@pytest.fixture
async def hive(home: Home) -> AsyncIterator[FakeHive]:
    async with FakeHive(home.run / "hive.sock") as hive:
        yield hive


@pytest_asyncio.fixture(loop_scope="module")
async def it(at_work: Bed) -> AsyncIterator[Bed]:
    """Give the module's harness (``shared_bed``), and a hive that is as new."""
    at_work.hive.keeps_warm = True
    yield at_work
    await at_work.hive.forget()
