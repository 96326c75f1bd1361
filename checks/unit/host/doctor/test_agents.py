"""The doctor's checks of an agent."""

from checks.kits.host.store import Kit, put
from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.common import AgentState
from pyglue.api.doctor import CheckState
from pyglue.host.core.agent import Agent
from pyglue.host.doctor.doctor import agent_check
from pyglue.manifest.record import PinnedRecord


def judged(kit: Kit, agent: Agent, late: str | None = None) -> tuple[CheckState, str]:
    check = agent_check(agent, kit.controls.blocked(agent), late)
    assert check.name == f"agent {agent.name}"
    return check.state, check.message


async def test_an_agent_that_starts_is_no_problem(kit: Kit) -> None:
    alice = await kit.agent("alice")
    put(alice, wanted=True, harness=None)
    kit.transitions.starting(alice, PinnedRecord(MANIFEST, None))
    state, text = judged(kit, alice)
    assert (state, text[:18]) == (CheckState.WARNING, "alice is starting.")
    kit.transitions.stopped(alice)
    down = "alice should be running but is stopped."
    assert judged(kit, alice) == (CheckState.PROBLEM, down)
    kit.transitions.failed(alice, "it broke")
    assert judged(kit, alice)[0] is CheckState.PROBLEM


async def test_what_is_overdue_or_wrong_is_a_warning(kit: Kit) -> None:
    alice = await kit.agent("alice")
    put(alice, wanted=False, state=AgentState.STOPPED)
    assert judged(kit, alice) == (CheckState.OK, "alice is stopped.")
    put(alice, problem="Its manifest cannot be read.")
    assert judged(kit, alice) == (CheckState.WARNING, "Its manifest cannot be read.")
