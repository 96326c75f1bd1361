"""Fixtures of the dashboard's tests: a hive with canned data, the app, an operator.

The hive runs once a module and begins each test with its first data. A module that
stops it, or counts its events, has one of its own.
"""

from collections.abc import Iterator

import pytest
from flask import Flask

from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Operator, make_app
from checks.kits.web.hive import FakeHive


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHive]:
    """A hive of canned data, as the last test left it."""
    socket = tmp_path_factory.mktemp("hive") / "operator.sock"
    with fake_hive.running(socket) as started:
        yield started


@pytest.fixture(scope="module")
def app(running: FakeHive) -> Iterator[Flask]:
    """The dashboard before that hive."""
    made = make_app(running)
    yield made
    made.extensions["hyperhive"].hub.close()


@pytest.fixture
def hive(running: FakeHive) -> FakeHive:
    """The hive with its first data."""
    running.reset()
    return running


@pytest.fixture
def operator(hive: FakeHive, app: Flask) -> Operator:
    """Somebody who is logged in."""
    return Operator(hive, app, hive.new_session())


@pytest.fixture
def stranger(hive: FakeHive, app: Flask) -> Operator:
    """Somebody who is not."""
    return Operator(hive, app)
