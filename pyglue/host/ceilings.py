"""What a container gets of this host: what its agent asks for, under the operator.

Called by ``lifecycle`` and ``upkeep`` with what a manifest says, before it goes to a
backend. An agent that says nothing has the operator's default; the operator's limit
holds for all, also for what was approved before it was lowered.
"""

from dataclasses import replace

from pyglue.config import HiveConfig
from pyglue.host.backends.base import AgentSpec
from pyglue.manifest import memory_bytes


def under_ceilings(spec: AgentSpec, config: HiveConfig) -> AgentSpec:
    """Return ``spec`` with the memory and processor time that hold here."""
    defaults, limits = config.defaults, config.limits
    return replace(
        spec,
        memory_max=_least(
            spec.memory_max, _bytes(defaults.memory_max), _bytes(limits.memory_max)
        ),
        cpu_quota=_least(spec.cpu_quota, defaults.cpu_quota, limits.cpu_quota),
    )


def _least(own: int | None, default: int | None, limit: int | None) -> int | None:
    asked = default if own is None else own
    return min((size for size in (asked, limit) if size is not None), default=None)


def _bytes(size: str | None) -> int | None:
    return None if size is None else memory_bytes(size)
