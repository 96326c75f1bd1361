"""[steer]: from a message to the request that carries it, in a running turn.

The message is sent when a tool of the running turn is about to return. What counts is
the time until the scripted model receives a request with it: the end of the tool, the
CLI's hook, hived's answer, and the CLI's next request. The references: the time that
may take on a quiet machine, and the same step without a message, in turns.
"""

import json
import statistics
import time
from typing import Final

from checks.bench.measure import Figure, progress, room, since
from checks.kits.harness.bench import FakeHive, script
from checks.kits.harness.process import Home, harness, model_socket
from pyglue.api.agent import WhoamiResult
from pyglue.api.common import NoParams
from pyglue.demo.scripted_model import ScriptedModel

NAME: Final = "steer"
LIMIT: Final = 1.5
_MAY_TAKE_MS: Final = 50.0
_SAMPLES: Final = 30
_WARM: Final = 3
_WHOAMI: Final = {"tool": "mcp__hive__whoami", "input": {}}


class Interrupting(FakeHive):
    """Sends a message when the model's tool is about to return."""

    body = ""
    began = 0.0

    async def _whoami(self, params: NoParams) -> WhoamiResult:
        told = await super()._whoami(params)
        if self.body:
            await self.mail(self.body)
        self.began = time.perf_counter()
        return told


async def bench() -> tuple[Figure, Figure]:
    """Run turns of one tool call one after another, with a message and without."""
    took: list[float] = []
    alone: list[float] = []
    model = ScriptedModel()
    await model.start()
    with room() as directory:
        home = Home(directory / "bob")
        home.load(keepWarm=3600)
        port = int(model.address.rpartition(":")[2])
        hive = Interrupting(home.run / "hive.sock", keeps_warm=True)
        async with (
            model_socket(home.run / "model.sock", port),
            hive,
            harness(home),
        ):
            for number in range(_SAMPLES + _WARM):
                took.append(await _turn(hive, model, f"Stop after item {number}."))
                alone.append(await _turn(hive, model, ""))
                if number % 10 == 0:
                    progress(f"  turn {number} of {_SAMPLES + _WARM}")
    await model.stop()
    del took[:_WARM], alone[:_WARM]
    bare = statistics.median(alone)
    return (
        Figure(NAME, tuple(took), _MAY_TAKE_MS, 1.0, {"may take": _MAY_TAKE_MS}),
        Figure(f"{NAME}_step", tuple(took), bare, LIMIT, {"step": bare}),
    )


async def _turn(hive: Interrupting, model: ScriptedModel, body: str) -> float:
    requests, ends = len(model.bodies), len(hive.ends)
    hive.body = body
    await hive.mail(script(_WHOAMI, {"text": "done"}))
    await model.received(requests + 2)
    took = since(hive.began)
    assert body in json.dumps(model.bodies[requests + 1]["messages"])
    await hive.until(lambda: len(hive.ends) > ends)
    assert len(hive.ends[-1].heard) == bool(body)
    return took
