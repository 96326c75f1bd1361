"""Every agent's tools: messages, questions, and who it is."""

from typing import Final

from pyglue.api import agent as api
from pyglue.api.messages import Priority
from pyglue.tools.tool import Schema, Tool, over

_WAIT_SLACK_S: Final = 30.0

_TO: Final[Schema] = {
    "type": "string",
    "description": "Name of an agent, or 'manager', or 'operator' (the human).",
}
_ID: Final[Schema] = {"type": "integer", "minimum": 1}


def agent_tools() -> tuple[Tool, ...]:
    """Return the tools of an agent's socket."""
    return (
        _send(),
        _recv(),
        _whoami(),
        _ask(),
        _answer(),
        _cancel_question(),
        _remind(),
        _cancel_reminder(),
        _open_threads(),
    )


def ack_tool() -> Tool:
    """Return the tool that ends mail outside of turns, for ``hive-mcp`` alone."""
    return over(
        api.ACK,
        "Say that messages you took with recv are done with; without 'messages' all of "
        "them. Until then (or your next recv) they are only lent to you: when you go "
        "away, they wait again and are marked redelivered.",
        {"messages": {"type": "array", "items": _ID, "maxItems": 64}},
    )


def _send() -> Tool:
    return over(
        api.SEND,
        "Send a message to an agent, to the manager or to the operator. It is stored "
        "before this returns and delivered once the recipient is ready; nobody answers "
        "at once. An answer arrives as a message of its own: end your turn and it "
        "wakes you, or wait for it with recv.",
        {
            "to": {
                **_TO,
                "description": f"{_TO['description']} The manager may also say 'all'.",
            },
            "body": {
                "type": "string",
                "minLength": 1,
                "description": "The text, at most 256 KiB. Say what you need and why.",
            },
            "reply_to": {**_ID, "description": "Id of the message that this answers."},
            "priority": {
                "type": "string",
                "enum": [p.value for p in Priority],
                "description": "Order in the recipient's inbox; 'normal' if left out.",
            },
        },
        required=("to", "body"),
    )


def _recv() -> Tool:
    return over(
        api.RECV,
        "Take messages from your inbox. The messages that woke you are already in your "
        "prompt, so call this only to wait for more within this turn. When nothing "
        "comes, end the turn: new mail wakes you.",
        {
            "wait_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": 180,
                "description": "How long to wait for the first message; 0: not at all.",
            },
            "max": {
                "type": "integer",
                "minimum": 1,
                "maximum": 32,
                "description": "Most messages to take; 1 if left out.",
            },
            "peek": {
                "type": "boolean",
                "description": "Only look: the messages stay in the inbox.",
            },
        },
        timeout=lambda params: params.wait_seconds + _WAIT_SLACK_S,
    )


def _whoami() -> Tool:
    return over(
        api.WHOAMI,
        "Tell your own name, role, model, how many messages wait, and to whom you may "
        "write (allowed_recipients: null is anyone).",
        {},
    )


def _ask() -> Tool:
    return over(
        api.ASK,
        "Ask the operator (or an agent, with 'to') a question. This returns the "
        "question's id at once; the answer arrives later as a message of kind "
        "'answer'. Ask when you cannot decide yourself, one question at a time, and "
        "give options when there are few possible answers.",
        {
            "question": {"type": "string", "minLength": 1, "maxLength": 16384},
            "options": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 512},
                "maxItems": 16,
                "description": "Answers to choose from; left out: free text.",
            },
            "multi": {
                "type": "boolean",
                "description": "Whether several options may be chosen.",
            },
            "ttl_seconds": {
                "type": "integer",
                "minimum": 1,
                "maximum": 30 * 86400,
                "description": "After this long the question expires unanswered.",
            },
            "to": {**_TO, "description": "Who is asked; 'operator' if left out."},
        },
        required=("question",),
    )


def _cancel_question() -> Tool:
    return over(
        api.CANCEL_QUESTION,
        "Take back a question that you asked and that needs no answer any more.",
        {"question": {**_ID, "description": "The question's id."}},
        required=("question",),
    )


def _remind() -> Tool:
    return over(
        api.REMIND,
        "Have the hive send you a message later, so that you can end your turn now: "
        "give in_seconds or at. It arrives as a message of kind 'event' from 'system'. "
        "Not for waiting for an answer: that wakes you by itself.",
        {
            "text": {
                "type": "string",
                "minLength": 1,
                "maxLength": 4096,
                "description": "What to remember, for yourself: say what is to do.",
            },
            "in_seconds": {"type": "integer", "minimum": 1, "maximum": 366 * 86400},
            "at": {
                "type": "string",
                "description": "A time in UTC, as 2026-01-31T09:00:00Z.",
            },
            "repeat_seconds": {
                "type": "integer",
                "minimum": 60,
                "maximum": 366 * 86400,
                "description": "Then again and again, that far apart.",
            },
        },
        required=("text",),
    )


def _cancel_reminder() -> Tool:
    return over(
        api.CANCEL_REMINDER,
        "Cancel a reminder that is still to come, also a repeated one.",
        {"reminder": {**_ID, "description": "The reminder's id."}},
        required=("reminder",),
    )


def _open_threads() -> Tool:
    return over(
        api.OPEN_THREADS,
        "List what is open around you: messages of the last week that you did not "
        "answer with reply_to, or that nobody answered you; open questions to you and "
        "of yours; your reminders.",
        {},
    )


def _answer() -> Tool:
    return over(
        api.ANSWER,
        "Answer a question that was put to you (a message of kind 'question' carries "
        "its number).",
        {
            "question": {**_ID, "description": "The question's id."},
            "text": {"type": "string", "maxLength": 65536},
            "choices": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": 16,
                "description": "The options chosen, word by word.",
            },
        },
        required=("question",),
    )
