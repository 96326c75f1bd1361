"""Every agent's tools: messages, questions, and its own identity.

Each tool has its method and two texts: one for people, then one for models.
"""

from typing import Final

from pyglue.api import agent as api
from pyglue.tools.tool import Tool, over

_WAIT_SLACK_S: Final = 30.0


def agent_tools() -> tuple[Tool, ...]:
    """Return the tools of an agent's socket."""
    return (*_messages(), *_questions(), *_later())


def _messages() -> tuple[Tool, ...]:
    return (
        over(
            api.SEND,
            "send a message to an agent, `manager` or `operator`; stored before it "
            "returns",
            "Send a message to an agent, to the manager or to the operator. It is "
            "stored before this returns and delivered once the recipient is ready; "
            "nobody answers at once. An answer arrives as a message of its own: end "
            "your turn and it wakes you, or wait for it with recv.",
        ),
        over(
            api.RECV,
            "take more messages within a turn",
            "Take messages from your inbox. The messages that woke you are already in "
            "your prompt, so call this only to wait for more within this turn. If "
            "nothing arrives, end the turn: new messages wake you.",
            timeout=lambda params: params.wait_seconds + _WAIT_SLACK_S,
        ),
        over(
            api.WHOAMI,
            "show name, role, model, manifest hash, allowed recipients, number of "
            "queued messages",
            "Show your own name, role and model, the number of queued messages, and "
            "whom you may write to (allowed_recipients: null means anyone).",
        ),
    )


def _questions() -> tuple[Tool, ...]:
    return (
        over(
            api.ASK,
            "ask the operator or an agent; returns an id at once, the answer arrives "
            "as a message",
            "Ask the operator (or an agent, with 'to') a question. This returns the "
            "question's id at once; the answer arrives later as a message of kind "
            "'answer'. Ask when you cannot decide yourself, one question at a time, "
            "and give options when there are few possible answers.",
        ),
        over(
            api.ANSWER,
            "answer a question that the agent was asked",
            "Answer a question that you were asked (the message of kind 'question' "
            "has its number).",
        ),
        over(
            api.CANCEL_QUESTION,
            "withdraw a question",
            "Withdraw a question that you asked and that no longer needs an answer.",
        ),
    )


def _later() -> tuple[Tool, ...]:
    return (
        over(
            api.REMIND,
            "schedule a wake-up, after some seconds or at a time, by a message from "
            "`system`; survives restarts",
            "Have the hive send you a message later, so that you can end your turn "
            "now: give in_seconds or at. It arrives as a message of kind 'event' from "
            "'system'. Do not use it to wait for an answer: that wakes you by itself.",
        ),
        over(
            api.CANCEL_REMINDER,
            "cancel a reminder, repeating or not",
            "Cancel a pending reminder, repeating or not.",
        ),
        over(
            api.OPEN_THREADS,
            "list unanswered messages, open questions, reminders",
            f"List what is still open: messages of the last {api.OPEN_DAYS} days that "
            "you did not answer with reply_to, or that nobody answered; open questions "
            "to you and from you; your reminders.",
        ),
    )


def lending_tools() -> tuple[Tool, ...]:
    """Return the tools of ``hive-mcp`` only, where no turn acknowledges messages."""
    return (
        over(
            api.RECV,
            "take messages, which come again until they are acknowledged: name their "
            "ids in `had` of the next `recv`, or in `ack`",
            "Take messages from the inbox of a stopped agent. They are only leased: "
            "each comes again, marked redelivered, until you name its id in 'had' of "
            "your next recv, or in ack. While the agent is running, it receives its "
            "messages itself; use 'peek' to look at the queued ones.",
            timeout=lambda params: params.wait_seconds + _WAIT_SLACK_S,
            offered=frozenset({"had"}),
        ),
        over(
            api.ACK,
            "acknowledge messages that `recv` returned; without `messages` all of the "
            "last `recv`",
            "Acknowledge messages that you took with recv; without 'messages', all "
            "that the last recv returned. Until then they are only leased to you: they "
            "are queued again, marked redelivered, with your next recv or when you "
            "disconnect.",
        ),
    )
