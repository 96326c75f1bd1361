"""The real CLI's reports for each answer of the kit in cold turns.

``recorded_answers.json`` beside the tests of the harness has it: in a first turn, a
resumed one, and between two calls of the model. Those tests judge every record. The
end-to-end tests give the answers to the real CLI: one of each kind, at one moment each,
if it is the version that was recorded; every answer at every moment if it is another.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

from pyglue.api.turns import TurnOutcome
from pyglue.harness.claude.options import find_cli
from pyglue.harness.claude.outcome import judge
from pyglue.harness.claude.stream_json import ResultMessage

_GATEWAY: Final = re.compile(r"\(loopback:\d+\)\.$")
RECORDED: Final[list[dict[str, Any]]] = json.loads(
    (
        Path(__file__).resolve().parents[2]
        / "unit/harness/claude/recorded_answers.json"
    ).read_text("utf-8")
)
_VERSION: Final = "2.1.329"
"""The CLI whose words the records were compared with at every moment."""


def is_recorded_cli() -> bool:
    """Tell whether the CLI here is the version whose words were recorded."""
    program = find_cli()
    assert program is not None
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[0] == _VERSION


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
