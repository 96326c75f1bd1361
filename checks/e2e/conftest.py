"""A harness's surroundings: directories, a hived in the test, a scripted model.

A module that runs a whole hive has a ``hive`` of its own.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from checks.kits.harness.bench import FakeHive
from checks.kits.harness.process import Home, model_socket, scripted_model


@pytest.fixture(scope="session")
def model_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with scripted_model(tmp_path_factory.mktemp("model") / "requests.jsonl") as port:
        yield port


@pytest.fixture
async def home(tmp_path: Path, model_port: int) -> AsyncIterator[Home]:
    home = Home(tmp_path / "bob")
    async with model_socket(home.run / "model.sock", model_port):
        yield home


@pytest.fixture
async def hive(home: Home) -> AsyncIterator[FakeHive]:
    async with FakeHive(home.run / "hive.sock") as hive:
        yield hive
