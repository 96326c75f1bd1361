"""Memory and CPU limits of containers: the agent's, below the operator's."""

from pyglue.config import AgentDefaults, HiveConfig, OperatorLimits
from pyglue.host.agents.container_limits import within_operator_limits
from pyglue.host.backends.base import AgentSpec

MIB = 1024 * 1024


def held(
    memory: int | None,
    cpu: int | None,
    *,
    defaults: AgentDefaults | None = None,
    limits: OperatorLimits | None = None,
) -> tuple[int | None, int | None]:
    """Return what an agent that asks for so much gets."""
    spec = AgentSpec(
        name="alice",
        manager=False,
        record=b"",
        network=False,
        memory_max=memory,
        cpu_quota=cpu,
    )
    config = HiveConfig(
        state_dir="/s",
        runtime_dir="/r",
        defaults=defaults or AgentDefaults(),
        limits=limits or OperatorLimits(),
    )
    found = within_operator_limits(spec, config)
    return found.memory_max, found.cpu_quota


def test_an_agent_gets_what_it_asks_for() -> None:
    defaults = AgentDefaults(memory_max="1G", cpu_quota=50)
    assert held(512 * MIB, 100, defaults=defaults) == (512 * MIB, 100)


def test_an_agent_that_says_nothing_has_the_default() -> None:
    defaults = AgentDefaults(memory_max="1G", cpu_quota=50)
    limits = OperatorLimits(memory_max="2G", cpu_quota=100)
    assert held(None, None, defaults=defaults, limits=limits) == (1024 * MIB, 50)


def test_without_a_default_it_has_the_limit() -> None:
    limits = OperatorLimits(memory_max="2G", cpu_quota=100)
    assert held(None, None, limits=limits) == (2048 * MIB, 100)
    assert held(None, None) == (None, None)


def test_a_limit_holds_for_what_was_approved_before_it() -> None:
    limits = OperatorLimits(memory_max="1G", cpu_quota=100)
    assert held(4096 * MIB, 400, limits=limits) == (1024 * MIB, 100)
