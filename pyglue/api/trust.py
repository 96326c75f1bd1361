"""How far hived trusts what it receives: a line for each field that reaches it.

An agent's container may send anything on its sockets, so this table lists every field
of every call and notification from agents and from the relay, with who trusts it and
for what. ``tools/generate_trust.py`` generates ``docs/trust.md`` from it, and fails for
a field without a line, so that whoever adds one makes this choice. ``no`` means that
the field decides nothing; where it is shown, it is shown as the agent's words.
"""

from typing import Any, Final

from pyglue.api import (
    agent,
    common,
    manager,
    messages,
    questions,
    relay,
    terminal,
    turn_events,
    turns,
)

NO: Final = "no: shown or logged as the agent's words"
OWN: Final = "only about the caller's own messages; other ids are refused or ignored"
TEXT: Final = "no: stored and delivered as the caller's words, under its socket's name"
NAME: Final = "checked against the existing agents"
QUEUE: Final = "only affects the order of the caller's own actions"
METRIC: Final = (
    "no: shown as the harness's number, and only if the relay counted nothing and the "
    "agent has a network (so it may use its own login)"
)
WARM: Final = (
    "only moves the memory for CLIs between turns from one agent to another; what the "
    "container may use is limited outside it"
)
UPLOAD: Final = "must be an upload of this connection"
RELAY: Final = (
    "yes: the relay is trusted with money, within the bounds of the type; agents "
    "cannot reach this socket"
)

READ: Final[dict[str, tuple[type[Any], ...]]] = {
    "turn_event": (
        turn_events.ToolName,
        turn_events.ToolCall,
        turn_events.ToolDone,
        turn_events.Server,
    ),
}
"""What hived reads from a field that it otherwise passes on unchanged, by call."""

TRUST: Final[dict[type[Any], dict[str, str]]] = {
    common.HelloParams: {
        "protocol": "must be the supported version",
        "client": NO,
        "harness": "only makes this connection the agent's harness; see below",
        "session": "ignored on agents' sockets; on the operator's checked by its hash",
    },
    common.HarnessReport: {
        "manifest_sha256": (
            "must be the hash of the applied record; a false claim only makes a "
            "deploy of this agent look healthy"
        ),
        "system": "must be the built system; a false claim has the same effect",
        "cli_version": "no: not used",
        "servers": "no: not used",
        "problem": "fails the agent's own deploy; quoted as the harness's words",
    },
    common.ServerStatus: {"name": NO, "status": NO, "error": NO},
    messages.SendParams: {
        "to": "checked against the agents and the allowed recipients of the record",
        "body": f"{TEXT}; size and rate are limited",
        "reply_to": "no: a hint for the recipient; only closes threads with the caller",
        "priority": "only for the order in the recipient's inbox",
    },
    messages.RecvParams: {
        "wait_seconds": "bounded by the type",
        "max": "bounded by the type",
        "peek": QUEUE,
        "had": OWN,
    },
    messages.AckParams: {"messages": OWN},
    questions.AskParams: {
        "question": TEXT,
        "options": TEXT,
        "multi": QUEUE,
        "ttl_seconds": "bounded by the type",
        "to": "checked against the agents and the allowed recipients of the record",
    },
    questions.AnswerParams: {
        "question": "must be an open question addressed to the caller",
        "text": TEXT,
        "choices": "must be options of the question",
    },
    questions.CancelQuestionParams: {"question": "must be the caller's own"},
    agent.RemindParams: {
        "text": "no: delivered to the caller itself, labelled as its reminder",
        "in_seconds": "bounded by the type",
        "at": "parsed; must be in the future",
        "repeat_seconds": "bounded by the type",
    },
    agent.CancelReminderParams: {"reminder": "must be the caller's own"},
    common.NoParams: {},
    turns.TurnStartParams: {
        "model": "absent, or the model that hived chose; enters no policy and no row",
        "messages": OWN,
        "warm": f"{NO}; counted in the hive's metrics",
    },
    turns.TurnEndParams: {
        "turn": "must be the running turn of the caller",
        "outcome": (
            "decides only about the caller's own messages; used-up limits and restored "
            "credit follow from hived's books and the relay"
        ),
        "reason": NO,
        "duration_ms": NO,
        "steps": NO,
        "tool_calls": NO,
        "denials": NO,
        "input_tokens": METRIC,
        "output_tokens": METRIC,
        "cost_usd": f"{METRIC}; never counts against or for a limit",
        "blames_mail": "decides only about the caller's own messages",
        "budget_used": "only skips the question about credit; see outcome",
        "warm_bytes": WARM,
    },
    turns.WarmthParams: {"bytes": WARM},
    turns.StateParams: {
        "state": (
            "shown as the harness's claim; the host's own states, and paused or "
            "over_budget when hived did not say so, are ignored"
        ),
        "detail": f"{NO}; for paused and over_budget hived's own reason is shown",
        "since_at": "no: shown; never in the future, nor before the harness's hello",
    },
    turns.TurnEventParams: {
        "turn": "no: shown with the event",
        "kind": f"{NO}; may be unknown to hived",
        "data": (
            f"{NO}; size and rate are limited, and anything but a plain JSON object is "
            "left out. hived reads only the shapes below from it"
        ),
    },
    turn_events.ToolName: {
        "name": "no: names a metric of the agent's own calls, if it is a plain word"
    },
    turn_events.ToolCall: {
        "id": "no: only matches the call with its result",
        "name": f"{NO}; the operator is notified about a call that takes too long",
        "input": f"{NO}: a few words of it beside the tool's name",
    },
    turn_events.ToolDone: {"id": "no: only ends a call that this harness reported"},
    turn_events.Server: {
        "name": f"{NO}; the manager is notified about a server once a day",
        "status": NO,
    },
    terminal.TerminalOutputParams: {
        "terminal": "must have been opened on this connection",
        "data": "no: shown in the operator's terminal, as its output",
    },
    terminal.TerminalExitParams: {
        "terminal": "must have been opened on this connection",
        "reason": NO,
    },
    manager.SpawnParams: {
        "name": "checked against the rules for names and existing names",
        "description": f"{TEXT}, with the proposal",
    },
    manager.WithdrawParams: {
        "id": "must be a pending proposal of the manager",
        "reason": NO,
    },
    manager.SubmitBeginParams: {
        "agent": NAME,
        "commit": "must be in the pack, which is checked in quarantine",
        "description": f"{TEXT}, with the proposal",
        "spawn": "checked: the agent must be a draft",
    },
    manager.SubmitChunkParams: {
        "upload": UPLOAD,
        "data": "no: a pack of limited size, unpacked in quarantine by a child process",
    },
    manager.SubmitCommitParams: {"upload": UPLOAD},
    manager.AgentParams: {"agent": f"{NAME}; the manager itself is refused"},
    manager.AgentLogsParams: {"agent": NAME, "lines": "bounded by the type"},
    relay.AttachParams: {"open": RELAY},
    relay.ReserveParams: {
        "agent": f"{NAME}; the relay identifies it by the request's socket",
        "model": "must be allowed by hived's policy",
        "cost_usd": RELAY,
        "input_tokens": RELAY,
        "output_tokens": RELAY,
    },
    relay.SettleParams: dict.fromkeys(
        (
            *("reservation", "cost_usd", "status", "input_tokens", "output_tokens"),
            *("cache_read_tokens", "cache_write_tokens", "retry_after_s"),
            "windows",
        ),
        RELAY,
    ),
    relay.RateWindow: dict.fromkeys(("name", "used", "resets_at", "is_used_up"), RELAY),
}
