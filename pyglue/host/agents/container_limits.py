"""A container's memory and CPU: its agent's request, within the operator's limits.

``lifecycle`` and ``supervisor`` call this with a manifest before a backend sees it. An
agent that sets no limit gets the operator's default. The operator's limit applies to
every agent, including those approved before it was lowered.
"""

from collections.abc import Mapping
from dataclasses import replace

from pyglue.config import HiveConfig
from pyglue.host.backends.base import AgentSpec
from pyglue.host.core.day_limits import lower
from pyglue.manifest.record import memory_bytes


def within_operator_limits(spec: AgentSpec, config: HiveConfig) -> AgentSpec:
    """Return ``spec`` with the memory and CPU limits that apply on this host."""
    defaults, limits = config.defaults, config.limits
    return replace(
        spec,
        memory_max=lower(
            spec.memory_max, _bytes(defaults.memory_max), _bytes(limits.memory_max)
        ),
        cpu_quota=lower(spec.cpu_quota, defaults.cpu_quota, limits.cpu_quota),
    )


def defaults_of(
    config: HiveConfig,
) -> Mapping[tuple[str, ...], int | float | str | None]:
    """Return the defaults for limits that an agent leaves null, by option path.

    None: no limit applies. ``budgets`` and ``within_operator_limits`` enforce these.
    """
    own, most = config.defaults, config.limits
    return {
        ("limits", "costPerDayUsd"): lower(
            own.cost_per_day_usd, None, most.cost_per_day_usd
        ),
        ("limits", "tokensPerDay"): lower(
            own.tokens_per_day, None, most.tokens_per_day
        ),
        ("limits", "turnsPerHour"): lower(
            own.turns_per_hour, None, most.turns_per_hour
        ),
        ("limits", "memoryMax"): lower(
            own.memory_max, None, most.memory_max, size=memory_bytes
        ),
        ("limits", "cpuQuota"): lower(own.cpu_quota, None, most.cpu_quota),
    }


def _bytes(size: str | None) -> int | None:
    return None if size is None else memory_bytes(size)
