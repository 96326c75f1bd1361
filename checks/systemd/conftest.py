"""Fixtures of the systemd group: one tree, one booted host for all, fresh ones."""

import itertools
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from checks.kits.host.hive import AGENTS
from checks.systemd.hive import SystemHive, connected, install
from checks.systemd.machine import Machine, booted, tail
from checks.systemd.tree import disk, tree
from pyglue.config import HiveConfig

_TAIL: Final = 60
_MACHINES: Final = pytest.StashKey[list[Machine]]()
_numbers: Final = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Remember the hosts that run, to tell of them when a test fails."""
    config.stash[_MACHINES] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each host's journal to a failed test's report."""
    report = yield
    if report.failed:
        for machine in item.config.stash[_MACHINES]:
            report.sections.append(("Journal of the test host", tail(machine, _TAIL)))
    return report


@pytest.fixture(scope="session")
def debian(request: pytest.FixtureRequest) -> Path:
    """The tree that hosts boot; says so when it has to be made."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            os.write(2, f"{text}\n".encode())

    return tree(say)


def _boot(config: pytest.Config, debian: Path) -> Iterator[Machine]:
    name = f"test-{os.getpid()}-{next(_numbers)}"
    handlers = config.stash[_MACHINES]
    with disk() as room, booted(debian, room, name) as machine:
        handlers.append(machine)
        yield machine
        handlers.remove(machine)


@pytest.fixture(scope="session")
def machine(pytestconfig: pytest.Config, debian: Path) -> Iterator[Machine]:
    """One host for all tests that leave it as it was."""
    yield from _boot(pytestconfig, debian)


@pytest.fixture(scope="session")
def installed(machine: Machine) -> HiveConfig:
    """A hive on the one host, with a manager and alice.

    Its agents are peers, which start no CLI. A test that is about more of them lets
    them start anew in ``Machine.harness``.
    """
    return install(machine, AGENTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hive(machine: Machine, installed: HiveConfig) -> AsyncIterator[SystemHive]:
    """The one hive, with an operator who sees all of its events."""
    async with connected(machine, installed) as running:
        await running.idle(*AGENTS)
        yield running


@pytest.fixture(scope="module")
def own_machine(pytestconfig: pytest.Config, debian: Path) -> Iterator[Machine]:
    """A host of the module's own, whose agents are peers; they start no CLI."""
    yield from _boot(pytestconfig, debian)
