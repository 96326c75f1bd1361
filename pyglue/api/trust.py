"""What hived believes of what it receives: a line for each field that reaches it.

An agent's container may send anything on its sockets, so this table lists every field
of every call and notification from there, and from the relay, with who trusts it and
for what. ``tools/generate_trust.py`` generates ``docs/trust.md`` from it, and fails for
a field without a line: whoever adds a field decides this. ``no`` means that it decides
nothing; where it is shown, it is shown as the agent's words.
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
OWN: Final = "only about what the caller holds itself; other ids are refused or ignored"
TEXT: Final = "no: kept and delivered as the caller's words, under its socket's name"
NAME: Final = "checked against the existing agents"
QUEUE: Final = "only for the order of what the caller itself may do"
FIGURE: Final = (
    "no: shown as the harness's figure, and only where the relay counted nothing and "
    "the agent has a network (and so may have a login of its own)"
)
UPLOAD: Final = "must be an upload of this connection"
RELAY: Final = (
    "yes: the relay is trusted with money, within the bounds of the type; the agents "
    "cannot reach this socket"
)

READ: Final[dict[str, tuple[type[Any], ...]]] = {
    "turn_event": (turn_events.ToolName, turn_events.Server),
}
"""What hived reads from a field that it otherwise passes on as it came, by call."""

TRUST: Final[dict[type[Any], dict[str, str]]] = {
    common.HelloParams: {
        "protocol": "must be the supported version",
        "client": NO,
        "harness": "only makes this connection the agent's harness; see below",
        "session": "ignored on agents' sockets; on the operator's checked by its hash",
    },
    common.HarnessReport: {
        "manifest_sha256": (
            "must be the hash of the applied record; a lie passes, and only makes a "
            "deploy of this agent look healthy"
        ),
        "system": "must be the built system; like the hash of the record",
        "cli_version": "no: not used",
        "servers": "no: not used",
        "problem": "makes the agent's own deploy fail; quoted as the harness's words",
    },
    common.ServerStatus: {"name": NO, "status": NO, "error": NO},
    messages.SendParams: {
        "to": "checked against the agents and the allowed recipients of the record",
        "body": f"{TEXT}; size and rate are limited",
        "reply_to": "no: a hint for the recipient; answers only the caller's messages",
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
        "question": "must be an open question to the caller",
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
        "model": "none, or the one that hived chose; enters no policy and no row",
        "messages": OWN,
    },
    turns.TurnEndParams: {
        "turn": "must be the running turn of the caller",
        "outcome": (
            "decides only about the caller's own messages; whether a limit is used up "
            "or credit is back follows from hived's books and the relay"
        ),
        "reason": NO,
        "duration_ms": NO,
        "steps": NO,
        "tool_calls": NO,
        "denials": NO,
        "input_tokens": FIGURE,
        "output_tokens": FIGURE,
        "cost_usd": f"{FIGURE}; never counts against or for a limit",
        "blames_mail": "decides only about the caller's own messages",
        "budget_used": "only to skip the question about credit; see outcome",
    },
    turns.StateParams: {
        "state": (
            "shown as what the harness says of itself; the host's own states, and "
            "paused or over_budget unknown to hived, are ignored"
        ),
        "detail": f"{NO}; for paused and over_budget hived's own reason is shown",
        "since_at": "no: shown; never in the future, nor before the harness said hello",
    },
    turns.TurnEventParams: {
        "turn": "no: a number shown with the event",
        "kind": f"{NO}; may be one that hived does not know",
        "data": (
            f"{NO}; size and rate are limited, and what is no object in plain JSON is "
            "left out. hived reads nothing else from it than the two shapes below"
        ),
    },
    turn_events.ToolName: {
        "name": "no: names a figure of the agent's own calls, if it is a plain word"
    },
    turn_events.Server: {
        "name": f"{NO}; the manager is told of a server once a day",
        "status": NO,
    },
    terminal.TerminalOutputParams: {
        "terminal": "must be one opened on this connection",
        "data": "no: shown in the operator's terminal, as its output",
    },
    terminal.TerminalExitParams: {
        "terminal": "must be one opened on this connection",
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
        "commit": "must be in the pack that follows, checked in quarantine",
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
        "agent": f"{NAME}; the relay knows it by the request's socket",
        "model": "must be in the policy that hived made",
        "cost_usd": RELAY,
        "input_tokens": RELAY,
        "output_tokens": RELAY,
    },
    relay.SettleParams: dict.fromkeys(
        (
            *("reservation", "cost_usd", "status", "input_tokens", "output_tokens"),
            *("cache_read_tokens", "cache_write_tokens", "retry_after_s"),
        ),
        RELAY,
    ),
}
