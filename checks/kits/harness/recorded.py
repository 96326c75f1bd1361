"""What the real CLI reported of each answer of the kit in cold turns.

``recorded_answers.json`` beside the tests of the harness has it: in a first turn, a
resumed one, and between two calls of the model.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude.outcome import judge
from pyglue.harness.claude.said import ResultMessage

_GATEWAY: Final = re.compile(r"\(loopback:\d+\)\.$")
RECORDED: Final[list[dict[str, Any]]] = json.loads(
    (
        Path(__file__).resolve().parents[2]
        / "unit/harness/claude/recorded_answers.json"
    ).read_text("utf-8")
)


def result(**values: Any) -> ResultMessage:
    """Return a result of the CLI with these values."""
    return ResultMessage(
        subtype=values.get("subtype", "success"),
        duration_ms=1,
        is_error=values["is_error"],
        num_turns=1,
        session_id="s",
        result=values["result"],
        terminal_reason=values["terminal_reason"],
        api_error_status=values["status"],
    )


def ends_alike(answer: str, outcome: TurnOutcome, reason: str | None) -> bool:
    """Tell whether a turn that met ``answer`` ended as one that was recorded.

    The reason may go on: the CLI adds an address, sizes and times.
    """
    for row in RECORDED:
        if row["answer"] == answer:
            verdict = judge(result(**row), row["error"])
            same = (reason or "").startswith(_GATEWAY.sub("", verdict.reason or ""))
            if verdict.outcome is outcome and same:
                return True
    return False
