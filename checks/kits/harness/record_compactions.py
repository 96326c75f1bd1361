"""Record the CLI's reports of a compaction for each answer of the kit.

``python -m checks.kits.harness.record_compactions`` writes
``checks/unit/harness/claude/recorded_compactions.json``, with the real CLI in one
conversation. Run it by hand when an answer is added, and review the diff.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, Final

from checks.kits.harness.answers import NOT_THE_MAILS
from checks.kits.harness.bench import FakeHive
from checks.kits.harness.process import Home, harness_here, model_socket
from pyglue.api.agent import COMPACT_SESSION
from pyglue.api.common import NoParams
from pyglue.api.turn_events import TurnEventKind
from pyglue.demo.playbook import Script, Step
from pyglue.demo.scripted_model import ScriptedModel
from pyglue.harness.claude import session, turn
from pyglue.harness.claude.events import Tally
from pyglue.harness.claude.turn import Ended

FILE: Final = (
    Path(__file__).resolve().parents[2]
    / "unit/harness/claude/recorded_compactions.json"
)
_run_turn = turn.run_turn


async def record(hive: FakeHive, model: ScriptedModel) -> list[dict[str, Any]]:
    """Compact a conversation once with each answer."""
    rows: list[dict[str, Any]] = []

    async def run_turn(
        launch: Any, prompt: str, tally: Tally, other: Any, **more: Any
    ) -> Ended:
        ended = await _run_turn(launch, prompt, tally, other, **more)
        rows.append(
            {
                "outcome": ended.outcome.value,
                "reason": ended.reason,
                "suspect": ended.verdict.suspect.name,
                "was_compacted": tally.was_compacted,
                "text": tally.text,
            }
        )
        return ended

    for _ in range(3):
        turns = len(hive.ends)
        await hive.mail("Remember the seven lamps.")
        await hive.until(lambda n=turns: len(hive.ends) > n)
    vars(session)["run_turn"] = run_turn
    for name, answer in NOT_THE_MAILS.items():
        model.script = Script(summary=Step(**answer))
        logs, before = len(hive.texts(TurnEventKind.LOG)), len(rows)
        await hive.harness.call(COMPACT_SESSION, NoParams())
        await hive.until(lambda n=logs: len(hive.texts(TurnEventKind.LOG)) > n)
        rows[before:] = [{"answer": name, **rows[-1]}]
        print(json.dumps(rows[-1]), flush=True)
    return rows


async def main() -> None:
    """Record everything."""
    model = ScriptedModel(Script())
    await model.start()
    with tempfile.TemporaryDirectory() as room:
        home = Home(Path(room) / "bob")
        home.load()
        port = int(model.address.rpartition(":")[2])
        async with (
            model_socket(home.run / "model.sock", port),
            FakeHive(home.run / "hive.sock") as hive,
            harness_here(home),
        ):
            rows = await record(hive, model)
    await model.stop()
    lines = ",\n".join(json.dumps(row) for row in rows)
    FILE.write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
