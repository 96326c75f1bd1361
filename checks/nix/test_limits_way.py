"""Lowered operator's limits apply to agents that were approved before.

A whole hived (``checks.kits.host.way``) is started again with other limits.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from checks.kits.host.way import Way, opened
from checks.kits.nix.system import SystemKit
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import AgentState
from pyglue.api.operations import OperationKind
from pyglue.config import OperatorLimits
from pyglue.host.core.agent import Agent

pytestmark = pytest.mark.needs("nix", "git", "root")

NETWORK = "{ hyperhive.network = true; }\n"
SERVER = """{
  hyperhive.mcpServers.notes = { command = "/usr/bin/true"; env.PATH = "/state"; };
}
"""
OPUS = '{ hyperhive.model = "opus"; }\n'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SystemKit:
    """Give a store that this module's tests share."""
    return SystemKit.make(tmp_path_factory.mktemp("systems"))


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the directory of the one hive for each agent.nix; empty at first."""
    return functools.cache(lambda _nix: tmp_path_factory.mktemp("hive"))


async def deployed(shared: SystemKit, room: Path, nix: str) -> None:
    """Deploy an alice with this agent.nix in the hive in ``room``, unless she is."""
    if any(room.iterdir()):
        return
    async with opened(shared, room) as way:
        assert (await way.approve(await way.spawn("alice"))).error is None
        assert (await way.approve(await way.propose("alice", nix))).error is None


async def parked(way: Way) -> Agent:
    """Return alice once every start that this hived begins is over."""
    services = way.hive.services
    made = await services.operations.request(
        OperationKind.START, "alice", by="operator"
    )
    ended = await services.operations.get(made.id, PATIENCE_S)
    assert ended.error is not None and "operator's limits" in ended.error
    return services.registry.get("alice")


@pytest.mark.parametrize("outlived", [False, True], ids=["starts", "outlived"])
@pytest.mark.parametrize(
    ("nix", "limits", "said"),
    [
        (NETWORK, OperatorLimits(network=False), "Network access is disabled"),
        (
            OPUS,
            OperatorLimits(models=("haiku",)),
            "The model opus is not allowed; allowed: haiku.",
        ),
        (SERVER, OperatorLimits(mcp_commands=()), "runs /usr/bin/true, which is not"),
        (SERVER, OperatorLimits(mcp_commands=("/usr/bin/true",)), "notes sets PATH"),
    ],
)
async def test_a_lowered_limit_parks_what_was_approved_before(
    shared: SystemKit,
    rooms: Callable[[str], Path],
    nix: str,
    limits: OperatorLimits,
    said: str,
    outlived: bool,
) -> None:
    room = rooms(nix)
    await deployed(shared, room, nix)
    runs = frozenset({"alice"}) if outlived else frozenset()
    async with opened(shared, room, limits=limits, runs=runs) as way:
        agent = await parked(way)
        assert way.backend.started == [] and not way.backend.running("alice")
        assert agent.state is AgentState.STOPPED and said in (agent.detail or "")
        services = way.hive.services
        checks = (await services.doctor.examine()).checks
        (check,) = (c for c in checks if c.name == "agent alice")
        assert said in check.message
    async with opened(shared, room) as way:  # and it runs again by itself
        operations = way.hive.services.operations
        made = await operations.request(OperationKind.START, "alice", by="operator")
        assert (await operations.get(made.id, PATIENCE_S)).error is None
        agent = way.hive.services.registry.get("alice")
        assert len(way.backend.started) == 1 and agent.problem is None


async def test_a_deploy_that_was_approved_before_the_limit_does_not_run(
    shared: SystemKit, tmp_path: Path
) -> None:
    async with opened(shared, tmp_path) as way:
        assert (await way.approve(await way.spawn("alice"))).error is None
        proposal = await way.propose("alice", NETWORK)
    limits = OperatorLimits(network=False)
    async with opened(shared, tmp_path, limits=limits) as way:
        operation = await way.approve(proposal)
        assert operation.error is not None and "Network access" in operation.error
        agent = way.hive.services.registry.get("alice")
        assert agent.record is not None and not agent.record.typed.network
        assert agent.harness is not None  # what ran before runs again
