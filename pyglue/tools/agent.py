"""Every agent's tools: messages, questions, and who it is.

For each tool its method and two texts: for people, then for models.
"""

from typing import Final

from pyglue.api import agent as api
from pyglue.tools.tool import Tool, over

_WAIT_SLACK_S: Final = 30.0


def agent_tools() -> tuple[Tool, ...]:
    """Return the tools of an agent's socket."""
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
            "your prompt, so call this only to wait for more within this turn. When "
            "nothing comes, end the turn: new mail wakes you.",
            timeout=lambda params: params.wait_seconds + _WAIT_SLACK_S,
        ),
        over(
            api.WHOAMI,
            "show name, role, model, manifest hash, allowed recipients, number of "
            "queued messages",
            "Tell your own name, role, model, how many messages wait, and to whom you "
            "may write (allowed_recipients: null is anyone).",
        ),
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
            "Answer a question that was put to you (a message of kind 'question' "
            "carries its number).",
        ),
        over(
            api.CANCEL_QUESTION,
            "withdraw a question",
            "Take back a question that you asked and that needs no answer any more.",
        ),
        over(
            api.REMIND,
            "schedule a wake-up, after some seconds or at a time, by a message from "
            "`system`; survives restarts, 32 at most",
            "Have the hive send you a message later, so that you can end your turn "
            "now: give in_seconds or at. It arrives as a message of kind 'event' from "
            "'system'. Not for waiting for an answer: that wakes you by itself.",
        ),
        over(
            api.CANCEL_REMINDER,
            "cancel a reminder, repeating or not",
            "Cancel a reminder that is still to come, also a repeated one.",
        ),
        over(
            api.OPEN_THREADS,
            "list unanswered messages, open questions, reminders",
            "List what is open around you: messages of the last week that you did not "
            "answer with reply_to, or that nobody answered you; open questions to you "
            "and of yours; your reminders.",
        ),
    )


def lending_tools() -> tuple[Tool, ...]:
    """Return the tools of ``hive-mcp`` alone, where no turn's end acknowledges mail."""
    return (
        over(
            api.RECV,
            "take messages, which come again until they are acknowledged: name their "
            "ids in `had` of the next `recv`, or in `ack`",
            "Take messages from the inbox, of an agent that is stopped. They are only "
            "lent: each comes again, marked redelivered, until you name its id in "
            "'had' of your next recv, or in ack. While the agent is running it takes "
            "its messages itself; then look at what waits with 'peek'.",
            timeout=lambda params: params.wait_seconds + _WAIT_SLACK_S,
            offered=frozenset({"had"}),
        ),
        over(
            api.ACK,
            "acknowledge messages that `recv` returned; without `messages` all of the "
            "last `recv`",
            "Say that messages you took with recv are done with; without 'messages' "
            "all that the last recv returned. Until then they are only lent to you: "
            "they wait again, marked redelivered, with your next recv or when you go "
            "away.",
        ),
    )
