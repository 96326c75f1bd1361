"""[parked_1000]: a thousand agents wait on one hived, and one of them gets a message.

As ``send_recv_wake``, with ten times the agents, beside the same parts: an echo over a
socket and one bare commit. All of hived is loaded, and its memory counts too.
"""

import statistics
from pathlib import Path
from typing import Final

from checks.bench.mail import Commits, Echo, Post, process
from checks.bench.mail_agents import SENDER, parked
from checks.bench.measure import Figure, progress, room

NAME: Final = "parked_1000"
LIMIT: Final = 4.0
_AGENTS: Final = 1000
_SAMPLES: Final = 1500
_WARM: Final = 200
_P99_MS: Final = 20.0
_RSS_MIB: Final = 150.0


async def bench() -> tuple[Figure, ...]:
    """Measure the wake-up's median and 99th percentile, and hived's memory."""
    waking: list[float] = []
    echoing: list[float] = []
    committing: list[float] = []
    names = parked(_AGENTS)
    with room() as directory:
        async with (
            process("checks.bench.mail_server", directory, str(_AGENTS)) as hived,
            process("checks.bench.echo_server", directory / "echo"),
        ):
            echo = await Echo.open(directory / "echo")
            commits = Commits(directory / "bare.db")
            post = await Post.open(directory, names)
            for number in range(_SAMPLES + _WARM):
                waking.append(await post.send(names[number * 7 % _AGENTS]))
                echoing.append(await echo.once())
                committing.append(commits.once())
                if number == _WARM - 1:
                    for warm in (waking, echoing, committing):
                        warm.clear()
            memory = _rss_mib(hived)
            post.close()
            echo.close()
            commits.close()
    parts = {
        "echo": statistics.median(echoing),
        "commit": statistics.median(committing),
    }
    wake = Figure(NAME, tuple(waking), sum(parts.values()), LIMIT, parts)
    progress(f"  {SENDER} wrote {_SAMPLES} times; hived has {memory:.0f} MiB")
    return (
        wake,
        Figure(f"{NAME}_p99", (wake.p99,), _P99_MS, 1.0, {"fixed": _P99_MS}),
        Figure(
            f"{NAME}_rss", (memory,), _RSS_MIB, 1.0, {"fixed": _RSS_MIB}, unit="MiB"
        ),
    )


def _rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no memory")
