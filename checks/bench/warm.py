"""[turn_warm]: a turn in a kept CLI, from its message to its reported end.

As ``turn_oneshot``, with a harness that may keep its CLI. The references: the same turn
through a CLI that is started for it, and a ``ClaudeSDKClient`` that stays connected,
with nothing around it. All take turns, so that they see the same machine.
"""

import statistics
import time
from typing import Final

from claude_agent_sdk import ClaudeSDKClient, ResultMessage

from checks.bench.measure import Figure, progress, room, since
from checks.bench.turn import PROMPT, Minimal, as_sdk, timed_turn
from checks.kits.harness.bench import FakeHive
from checks.kits.harness.process import Home, harness, model_socket, scripted_model

NAME: Final = "turn_warm"
LIMIT: Final = 0.15
CLIENT_LIMIT: Final = 1.5
_SAMPLES: Final = 30
_WARM: Final = 3


async def bench() -> tuple[Figure, Figure]:
    """Run turns of all three kinds in rounds."""
    warm: list[float] = []
    cold: list[float] = []
    client: list[float] = []
    with room() as directory, scripted_model(directory / "requests.jsonl") as port:
        kept, started = Home(directory / "kept"), Home(directory / "started")
        kept.load(keepWarm=3600)
        started.load(keepWarm=0)
        bare = Minimal.make(Home(directory / "bare"), port)
        launch = bare.options.turn(model="haiku", session=bare.session, resume=False)
        async with (
            model_socket(kept.run / "model.sock", port),
            model_socket(started.run / "model.sock", port),
            FakeHive(kept.run / "hive.sock", keeps_warm=True) as one,
            FakeHive(started.run / "hive.sock") as other,
            harness(kept),
            harness(started),
            ClaudeSDKClient(as_sdk(launch, bare.hive)) as connected,
        ):
            for number in range(_SAMPLES + _WARM):
                warm.append(await timed_turn(one))
                client.append(await _turn_of(connected))
                cold.append(await timed_turn(other))
                if number % 5 == 0:
                    progress(f"  turn {number} of {_SAMPLES + _WARM}")
            assert all(start.warm for start in one.starts[1:])
    del warm[:_WARM], cold[:_WARM], client[:_WARM]
    oneshot, long_lived = statistics.median(cold), statistics.median(client)
    return (
        Figure(NAME, tuple(warm), oneshot, LIMIT, {"turn_oneshot": oneshot}),
        Figure(
            f"{NAME}_client",
            tuple(warm),
            long_lived,
            CLIENT_LIMIT,
            {"ClaudeSDKClient": long_lived},
        ),
    )


async def _turn_of(client: ClaudeSDKClient) -> float:
    began = time.perf_counter()
    await client.query(PROMPT)
    async for message in client.receive_response():
        if isinstance(message, ResultMessage):
            assert not message.is_error
    return since(began)
