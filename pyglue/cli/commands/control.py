"""The commands that control agents at work, from ``pause`` to ``model``."""

import argparse
from typing import Final

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.control import (
    AfterCancel,
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.manager import AgentParams
from pyglue.cli.commands.command import agent_argument
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import visible

_THEN: Final = {
    AfterCancel.REQUEUE: "queued again",
    AfterCancel.LATER: "queued after all others",
    AfterCancel.DROP: "dropped",
}


def one_or_all(parser: argparse.ArgumentParser) -> None:
    """Declare an agent's name, or ``--all``."""
    parser.add_argument("agent", metavar="NAME", nargs="?", help="agent name")
    parser.add_argument("--all", action="store_true", help="the whole hive")


def pause_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``pause``."""
    one_or_all(parser)
    parser.add_argument(
        "--reason",
        default="",
        metavar="TEXT",
        help="shown on the dashboard and in the audit log",
    )
    parser.add_argument(
        "--cancel",
        action="store_true",
        help="also cancel the running turn (implied by --all)",
    )


def cancel_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``cancel``."""
    agent_argument(parser)
    parser.add_argument(
        "--reason",
        default="",
        metavar="TEXT",
        help="shown on the dashboard and in the audit log",
    )
    _after(parser)


def _after(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--messages",
        choices=[one.value for one in AfterCancel],
        default=AfterCancel.REQUEUE.value,
        help="what becomes of the turn's messages: delivered again (the default), "
        "delivered after all others, or dropped",
    )


def model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``model``."""
    agent_argument(parser)
    parser.add_argument("model", metavar="MODEL", nargs="?", help="alias or full id")
    parser.add_argument(
        "--reset", action="store_true", help="return to the manifest's model"
    )


def _which(arguments: argparse.Namespace) -> str | None:
    """Return the agent, None for all.

    Raises:
        HiveError: ``bad_request`` when both or neither are named.
    """
    if bool(arguments.agent) == arguments.all:
        raise HiveError(ErrorCode.BAD_REQUEST, "Name one agent, or use --all.")
    agent: str | None = arguments.agent
    return agent


def pause(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Pause one agent, or stop the hive."""
    agent, reason = _which(arguments), arguments.reason
    if agent is None:
        done = client.call(api.PAUSE_ALL, PauseAllParams(reason=reason))
        return Answer(done, "The hive is paused. Resume it with: hive resume --all")
    params = PauseParams(agent=agent, reason=reason, cancel=arguments.cancel)
    done = client.call(api.PAUSE, params)
    return Answer(done, f"{agent} is paused. Resume it with: hive resume {agent}")


def resume(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Resume one agent, or the whole hive."""
    agent = _which(arguments)
    if agent is None:
        done = client.call(api.RESUME_ALL, NoParams())
        text = "The hive is resumed. Agents that were paused individually stay paused."
        return Answer(done, text)
    done = client.call(api.RESUME, AgentParams(agent=agent))
    return Answer(done, f"{agent} is resumed.")


def cancel(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Cancel the running turn."""
    then = AfterCancel(arguments.messages)
    params = CancelTurnOfParams(
        agent=arguments.agent, reason=arguments.reason, messages=then
    )
    done = client.call(api.CANCEL_TURN_OF, params)
    text = (
        f"The turn of {arguments.agent} is cancelled; its messages are {_THEN[then]}."
    )
    return Answer(done, text)


def compact(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Request a shorter session."""
    done = client.call(api.COMPACT, AgentParams(agent=arguments.agent))
    text = (
        f"{arguments.agent} compacts its conversation after the running turn, if any."
    )
    return Answer(done, text)


def new_session(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Request a new session."""
    done = client.call(api.NEW_SESSION, AgentParams(agent=arguments.agent))
    text = (
        f"{arguments.agent} continues in a new session after the running turn, if any; "
        "the old transcript is kept."
    )
    return Answer(done, text)


def model(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Show, choose or reset the model."""
    name = arguments.agent
    if arguments.reset and arguments.model:
        raise HiveError(ErrorCode.BAD_REQUEST, "Name a model, or use --reset.")
    status: ModelStatus | None
    if arguments.reset:
        status = client.call(api.RESET_MODEL, AgentParams(agent=name))
    elif arguments.model:
        params = SetModelParams(agent=name, model=arguments.model)
        status = client.call(api.SET_MODEL, params)
    else:
        found = client.call(api.AGENT, AgentParams(agent=name)).agent
        status = found.model_status
    if status is None:
        raise HiveError(ErrorCode.INTERNAL, "hived did not report the model.")
    rows = [
        ("active", status.active),
        ("from the next turn", status.queued or status.active),
        ("manifest", status.manifest),
        ("override", status.override or "none"),
    ]
    if status.switched_by is not None:
        rows.append(("last changed by", status.switched_by))
    return Answer(status, table([(name, visible(value)) for name, value in rows]))
