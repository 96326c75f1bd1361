"""[durable_send]: rate of durable sends, from sixteen senders and from one.

Each send is a call over its sender's own socket, answered after the commit with
``synchronous=FULL``. The reference is one row after another committed alone by bare
SQLite on the same disk; sixteen senders share commits, so they must not be slower.
The receivers' mail is not fetched: what waits in an inbox is what a send costs.
"""

import asyncio
import statistics
import time
from typing import Final

from checks.bench.mail import BODY, Commits, process
from checks.bench.mail_agents import parked
from checks.bench.measure import Figure, progress, room, since
from pyglue.api import agent as api
from pyglue.api.common import PROTOCOL, HelloParams
from pyglue.api.messages import SendParams
from pyglue.jsonrpc import Connection, connect

NAME: Final = "durable_send"
_SENDERS: Final = 16
_AGENTS: Final = 100
_ROUNDS: Final = 15
_EACH: Final = 20
_ALONE: Final = 100


async def bench() -> tuple[Figure, ...]:
    """Take turns: sixteen send, one sends, bare SQLite commits."""
    together: list[float] = []
    alone: list[float] = []
    bare: list[float] = []
    names = parked(_AGENTS)
    with room() as directory:
        async with process("checks.bench.mail_server", directory, str(_AGENTS)):
            hello = HelloParams(protocol=PROTOCOL, client="bench")
            senders = [
                await connect(directory / name, hello=hello)
                for name in names[:_SENDERS]
            ]
            commits = Commits(directory / "bare.db")
            for number in range(_ROUNDS + 1):
                to = names[_SENDERS + number]
                together.append(await _together(senders, to))
                bare.append(_bare(commits))
                alone.append(await _alone(senders[0], to))
                if number == 0:  # everything was cold
                    for warm in (together, alone, bare):
                        warm.clear()
            for sender in senders:
                sender.close()
            commits.close()
    one = statistics.median(bare)
    progress(
        f"  bare {1000 / one:.0f}/s, 16 {1000 / statistics.median(together):.0f}/s"
    )
    parts = {"bare commit": one}
    return (
        Figure(f"{NAME}_16", tuple(together), one, 1.0, parts),
        Figure(f"{NAME}_1", tuple(alone), one, 2.5, parts),
    )


async def _together(senders: list[Connection], to: str) -> float:
    """Return milliseconds a message while all send at once."""

    async def some(sender: Connection) -> None:
        for _ in range(_EACH):
            await _send(sender, to)

    began = time.perf_counter()
    await asyncio.gather(*map(some, senders))
    return since(began) / (_EACH * len(senders))


async def _alone(sender: Connection, to: str) -> float:
    began = time.perf_counter()
    for _ in range(_ALONE):
        await _send(sender, to)
    return since(began) / _ALONE


async def _send(sender: Connection, to: str) -> None:
    await sender.call(api.SEND, SendParams(to=to, body=BODY))


def _bare(commits: Commits) -> float:
    began = time.perf_counter()
    for _ in range(_ALONE):
        commits.once()
    return since(began) / _ALONE
