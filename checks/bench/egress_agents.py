"""The cost of hive-egress for many agents: [egress_agents], [egress_memory].

200 agents have 20 open tunnels each, 4,000 in all, through which nothing passes but
what is measured. ``egress_agents`` is a request over a new connection of each agent, in
turn, at its ``egress.sock`` and without TLS; the reference is the same of one agent
before anybody else has connected. Its parts name a request over an open tunnel, too,
and the longest of 4,000 that are sent all at once. ``egress_memory`` is what
hive-egress holds for one of the tunnels: the growth of its own memory, divided; the
reference is fixed.
"""

import asyncio
import contextlib
import resource
import statistics
import time
from typing import Final

from checks.bench.egress import answered
from checks.bench.egress_setting import Setting, setting
from checks.bench.egress_site import ANSWER, REQUEST
from checks.bench.harness_memory import pss_mib
from checks.bench.measure import Figure, progress, since
from pyglue.process.limits import raise_open_files

AGENTS: Final = "egress_agents"
MEMORY: Final = "egress_memory"
_NAMES: Final = tuple(f"a{number}" for number in range(200))
_EACH: Final = 20
_LIMIT: Final = 2.0
_SAMPLES: Final = 400
_TUNNEL_KIB: Final = 32.0
_FILES: Final = 16_384
"""hive-egress gives every agent a share of the descriptors; with fewer it is less."""


async def bench() -> tuple[Figure, ...]:
    """Open all tunnels, and use them."""
    raise_open_files()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < _FILES:
        progress(f"  NOT RUN: needs {_FILES} open files (ulimit -n)")
        return ()
    async with setting(*_NAMES) as at:
        return await asyncio.to_thread(_measured, at)


def _measured(at: Setting) -> tuple[Figure, ...]:
    alone = [_new(at, _NAMES[0]) for _ in range(_SAMPLES)]
    before = pss_mib(at.pid)
    with contextlib.ExitStack() as stack:
        tunnels = []
        for name in _NAMES:
            for _ in range(_EACH):
                tunnels.append(stack.enter_context(at.open(name, at.plain)))
        progress(f"  {len(tunnels)} tunnels are open")
        fresh = [_new(at, name) for name in _NAMES * (_SAMPLES // len(_NAMES))]
        held: list[float] = []
        for made in tunnels:
            began = time.perf_counter()
            answered(made)
            held.append(since(began))
        after = pss_mib(at.pid)
        began = time.perf_counter()
        for made in tunnels:
            made.sendall(REQUEST)
        for made in tunnels:
            assert made.recv(65536) == ANSWER
        burst = since(began)
    reference = statistics.median(alone)
    parts = {
        "alone": reference,
        "(open tunnel)": statistics.median(held),
        "(all at once)": burst,
    }
    grown = (after - before) * 1024 / len(tunnels)
    progress(f"  hive-egress held {before:.0f} MiB before, {after:.0f} MiB after")
    return (
        Figure(AGENTS, tuple(fresh), reference, _LIMIT, parts),
        Figure(MEMORY, (grown,), _TUNNEL_KIB, 1.0, {"fixed": _TUNNEL_KIB}, unit="KiB"),
    )


def _new(at: Setting, agent: str) -> float:
    began = time.perf_counter()
    with at.open(agent, at.plain) as made:
        answered(made)
        return since(began)
