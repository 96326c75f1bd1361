"""What hived believes of what it is told: a line for each field that comes to it.

An agent's container may say anything on its sockets, so every field of every call and
notification from there, and from the relay, stands here with who trusts it and for
what. ``tools/generate_trust.py`` makes ``docs/trust.md`` of it, and fails for a field
without a line: whoever adds one decides that. ``no`` means that nothing is decided by
it; what is shown of it is shown as the agent's words.
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
    turns,
)

NO: Final = "no: shown or logged as the agent's words"
OWN: Final = "only about what the caller holds itself; other ids are refused or ignored"
TEXT: Final = "no: kept and delivered as the caller's words, under its socket's name"
NAME: Final = "checked against the agents that there are"
QUEUE: Final = "only for the order of what the caller itself may do"
FIGURE: Final = (
    "no: shown as the harness's figure, and only where the relay counted nothing and "
    "the agent has a network (and so may have a login of its own)"
)
UPLOAD: Final = "must be an upload of this very connection"
RELAY: Final = (
    "yes: the relay is trusted with money, within the bounds of the type; the agents "
    "cannot reach this socket"
)

TRUST: Final[dict[type[Any], dict[str, str]]] = {
    common.HelloParams: {
        "protocol": "must be the version that is spoken",
        "client": NO,
        "harness": "only makes this connection the agent's harness; see there",
        "session": "ignored on agents' sockets; on the operator's checked by its hash",
    },
    common.HarnessReport: {
        "manifest_sha256": (
            "must be the hash of the applied record; a lie passes, and only makes a "
            "deploy of this agent look well"
        ),
        "system": "must be the system that was built; as the hash of the record",
        "cli_version": "no: not used",
        "servers": "no: not used",
        "problem": "makes the agent's own deploy fail; quoted as the harness's words",
    },
    common.ServerStatus: {"name": NO, "status": NO, "error": NO},
    messages.SendParams: {
        "to": "checked against the agents and the allowed recipients of the record",
        "body": f"{TEXT}; size and rate are limited",
        "reply_to": "no: a mark for the receiver; answers nothing but the caller's own",
        "priority": "only for the order in the receiver's inbox",
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
        "question": "must be open and put to the caller",
        "text": TEXT,
        "choices": "must be options of the question",
    },
    questions.CancelQuestionParams: {"question": "must be the caller's own"},
    agent.RemindParams: {
        "text": "no: delivered to the caller itself, named as its reminder",
        "in_seconds": "bounded by the type",
        "at": "parsed; must lie ahead",
        "repeat_seconds": "bounded by the type",
    },
    agent.CancelReminderParams: {"reminder": "must be the caller's own"},
    common.NoParams: {},
    turns.TurnStartParams: {
        "model": "must be what hived chose; enters no policy and no row",
        "messages": OWN,
    },
    turns.TurnEndParams: {
        "turn": "must be the running turn of the caller",
        "outcome": (
            "decides only about the caller's own messages; that a limit is used up or "
            "the credit back is for hived's books and the relay to say"
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
        "budget_used": "only that the provider is not asked about; see outcome",
    },
    turns.StateParams: {
        "state": (
            "shown as what the harness says of itself; the host's own states, and "
            "being paused or over budget when hived knows nothing of it, are not taken"
        ),
        "detail": f"{NO}; for paused and over_budget hived's own reason is shown",
        "since_at": "no: shown; never in the future, nor before the harness said hello",
    },
    turns.TurnEventParams: {
        "turn": "no: a number beside the event",
        "kind": NO,
        "data": f"{NO}; size and rate are limited",
    },
    terminal.TerminalOutputParams: {
        "terminal": "must be one that was opened on this connection",
        "data": "no: shown in the operator's terminal, as its output",
    },
    terminal.TerminalExitParams: {
        "terminal": "must be one that was opened on this connection",
        "reason": NO,
    },
    manager.SpawnParams: {
        "name": "checked against the rules for names and what there is",
        "description": f"{TEXT}, beside the proposal",
    },
    manager.WithdrawParams: {
        "id": "must be a pending proposal of the manager",
        "reason": NO,
    },
    manager.SubmitBeginParams: {
        "agent": NAME,
        "commit": "must be in the pack that follows, checked in quarantine",
        "description": f"{TEXT}, beside the proposal",
        "spawn": "checked: the agent must be a draft",
    },
    manager.SubmitChunkParams: {
        "upload": UPLOAD,
        "data": "no: a pack, bounded, taken apart in quarantine by a child process",
    },
    manager.SubmitCommitParams: {"upload": UPLOAD},
    manager.AgentParams: {"agent": f"{NAME}; the manager itself is refused"},
    manager.AgentLogsParams: {"agent": NAME, "lines": "bounded by the type"},
    relay.AttachParams: {"open": RELAY},
    relay.ReserveParams: {
        "agent": f"{NAME}; the relay knows it by the socket that the request came on",
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
