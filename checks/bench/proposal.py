"""[proposal_render]: from ``request_apply_commit`` to a rendered approval.

On a whole running hive: the tool packs a commit, hived checks, evaluates, pins, tags
and queues it. The reference is Nix alone on the same expression, without sandbox or
restrictions. A manager thinks for seconds between two proposals, in which hived gets
the next checking child and the next Nix ready; so there is a pause before each, outside
of what counts. What counts begins with git's own work beside the manager and ends with
the answer: the pack is unpacked, checked and packed anew, Nix reads and evaluates the
files, and tag and row are on the disk.
"""

import asyncio
import statistics
import subprocess
import time
from pathlib import Path
from typing import Final

from checks.bench.measure import Figure, progress, room, since
from checks.kits.host.hive import Hive, running_hive
from pyglue.cli.local.launcher import PARTS
from pyglue.paths import share

NAME: Final = "proposal_render"
LIMIT: Final = 2.0
_SAMPLES: Final = 40
_WARM: Final = 2
_THINKING_S: Final = 1.0
_AGENT: Final = "alice"


async def bench() -> Figure:
    """Propose one small change after another, each beside a bare evaluation."""
    evaluation: list[float] = []
    evaluating: list[float] = []
    with room() as directory:
        async with running_hive(directory, beside=PARTS) as hive:
            progress("  the hive runs")
            base = hive.git(_AGENT, "rev-parse", "HEAD")
            nix = (hive.repository(_AGENT) / "agent.nix").read_text()
            for number in range(_SAMPLES + _WARM):
                hive.git(_AGENT, "reset", "-q", "--hard", base)
                files = {"agent.nix": f"# Version {number}.\n{nix}"}
                commit = hive.commit(_AGENT, files)
                await asyncio.sleep(_THINKING_S)
                evaluated = _evaluate(hive.repository(_AGENT))
                rendered = await _submit(hive, commit)
                if number >= _WARM:
                    evaluation.append(rendered)
                    evaluating.append(evaluated)
                if number % 10 == 0:
                    progress(f"  proposal {number} of {_SAMPLES + _WARM}")
    bare = statistics.median(evaluating)
    return Figure(NAME, tuple(evaluation), bare, LIMIT, {"nix-instantiate": bare})


async def _submit(hive: Hive, commit: str) -> float:
    """Submit as the manager's tool does; return the milliseconds."""
    began = time.perf_counter()
    proposed = await hive.submit(_AGENT, commit)
    took = since(began)
    assert proposed.commit == commit
    return took


def _evaluate(agent: Path) -> float:
    """Evaluate as anybody would by hand; return the milliseconds."""
    report = share() / "modules" / "eval" / "report.nix"
    began = time.perf_counter()
    subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--json"),
            *(report, "--argstr", "agent", agent),
        ],
        check=True,
        capture_output=True,
    )
    return since(began)
