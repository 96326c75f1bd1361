"""From inside alice's real sandbox: files, processes, network, system calls, limits.

She is deployed with leave to run one program, the scripted model makes her run it, and
``inside`` (the program) tries everything in a child of its own. What it marks as never
allowed must fail; everything else is harmless if the hive is well afterwards.
"""

import json
from pathlib import Path
from typing import Final

from checks.fuzz.kit import Trial
from checks.kits.host.hive import API_KEY, Hive, script
from pyglue.api.operations import OperationState

PROGRAM: Final = Path(__file__).with_name("inside.py")
_NIX: Final = """{
  hyperhive.description = "tries to get out";
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.bash.allow = [ "python3 /state/inside.py" ];
}
"""
_TIMEOUT_S: Final = 900.0
"""For a thousand attempts with a process each; six seconds on an idle machine."""
_BASH_MS: Final = 600_000
"""The longest that the tool waits; as default it would be two minutes."""
_DENIALS: Final = ("E", "killed", "no such")


async def attack(trial: Trial) -> None:
    """Run the program inside, and judge what it found."""
    hive = await trial.lab.hive()
    found = await _inside(hive)
    for case, (name, (outcome, never)) in trial.each(sorted(found.items())):
        refused = outcome.startswith(_DENIALS)
        wrong = f"{name}: {outcome}" if never and not refused else None
        if API_KEY in outcome:
            wrong = f"{name} shows the API key"
        case.unless(wrong, refused=refused)


async def _inside(hive: Hive) -> dict[str, tuple[str, bool]]:
    operation = await hive.approve(await hive.propose("alice", _NIX))
    assert operation.state is OperationState.DONE, operation.error
    layout = hive.local.config.layout
    state = layout.agent_state("alice")
    facts = {
        "paths": [
            *map(str, (layout.state, layout.database, layout.audit_log)),
            *map(str, (layout.private("alice"), layout.agents, layout.applied_root)),
            *map(str, (layout.logs, layout.config("alice"), layout.run("manager"))),
            *map(str, (layout.operator_socket, layout.relay_socket)),
            str(layout.relay_fds_socket),
        ],
        "port": hive.local.config.web.port,
    }
    for name, text in (
        ("inside.py", PROGRAM.read_text()),
        ("facts.json", json.dumps(facts)),
    ):
        (state / name).write_text(text)
        (state / name).chmod(0o644)
    bash = {
        "command": "python3 /state/inside.py",
        "description": "attack",
        "timeout": _BASH_MS,
    }
    heard = {"to": "operator", "body": "{{result:attacks are done|.+}}"}
    await hive.idle("alice")
    await hive.send(
        "alice",
        script(
            {"tool": "Bash", "input": bash},
            {"tool": "mcp__hive__send", "input": heard},
            {"text": "done"},
        ),
    )
    said = await hive.answer("alice", "", patience=_TIMEOUT_S)
    assert said.body == "attacks are done", said.body
    found: dict[str, tuple[str, bool]] = json.loads((state / "found.json").read_text())
    assert found["see /proc/self/mountinfo"][0].startswith("done"), "it can do things"
    return found
