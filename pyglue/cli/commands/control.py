"""The commands for agents at work: pause, resume, cancel, compact, model."""

import argparse

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.control import (
    CancelTurnOfParams,
    ModelStatus,
    PauseAllParams,
    PauseParams,
    SetModelParams,
)
from pyglue.api.manager import AgentParams
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.jsonrpc import SyncClient


def one_or_all(parser: argparse.ArgumentParser) -> None:
    """Declare an agent's name, or ``--all``."""
    parser.add_argument("agent", metavar="NAME", nargs="?")
    parser.add_argument("--all", action="store_true", help="the whole hive")


def pause_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``pause`` takes."""
    one_or_all(parser)
    parser.add_argument("--reason", default="", metavar="TEXT")
    parser.add_argument(
        "--cancel",
        action="store_true",
        help="also cancel the running turn (with --all always)",
    )


def cancel_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``cancel`` takes."""
    parser.add_argument("agent", metavar="NAME")
    parser.add_argument("--reason", default="", metavar="TEXT")


def model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``model`` takes."""
    parser.add_argument("agent", metavar="NAME")
    parser.add_argument("model", metavar="MODEL", nargs="?", help="alias or full id")
    parser.add_argument(
        "--reset", action="store_true", help="use the manifest's model again"
    )


def _which(arguments: argparse.Namespace) -> str | None:
    """Return the agent, None for all.

    Raises:
        HiveError: ``bad_request`` when both or neither are named.
    """
    if bool(arguments.agent) == arguments.all:
        raise HiveError(ErrorCode.BAD_REQUEST, "Name one agent, or give --all.")
    agent: str | None = arguments.agent
    return agent


def pause(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Pause one agent, or stop the hive."""
    agent, reason = _which(arguments), arguments.reason
    if agent is None:
        done = client.call(api.PAUSE_ALL, PauseAllParams(reason=reason))
        return Answer(done, "The hive is stopped. Go on with: hive resume --all")
    params = PauseParams(agent=agent, reason=reason, cancel=arguments.cancel)
    done = client.call(api.PAUSE, params)
    return Answer(done, f"{agent} is paused. Go on with: hive resume {agent}")


def resume(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Let one agent, or the hive, go on."""
    agent = _which(arguments)
    if agent is None:
        done = client.call(api.RESUME_ALL, NoParams())
        text = "The hive goes on. Agents that were paused one by one stay so."
        return Answer(done, text)
    done = client.call(api.RESUME, AgentParams(agent=agent))
    return Answer(done, f"{agent} goes on.")


def cancel(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Cancel the running turn."""
    params = CancelTurnOfParams(agent=arguments.agent, reason=arguments.reason)
    done = client.call(api.CANCEL_TURN_OF, params)
    text = f"The turn of {arguments.agent} is cancelled; its mail waits again."
    return Answer(done, text)


def compact(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Have the session shortened."""
    done = client.call(api.COMPACT, AgentParams(agent=arguments.agent))
    text = f"{arguments.agent} shortens its conversation as soon as no turn runs."
    return Answer(done, text)


def model(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Show, choose or reset the model."""
    name = arguments.agent
    if arguments.reset and arguments.model:
        raise HiveError(ErrorCode.BAD_REQUEST, "Name a model or give --reset.")
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
        raise HiveError(ErrorCode.INTERNAL, "hived did not say which model it is.")
    rows = [
        ("active", status.active),
        ("next turn", status.queued or status.active),
        ("manifest", status.manifest),
        ("override", status.override or "none"),
    ]
    if status.switched_by is not None:
        rows.append(("last switched by", status.switched_by))
    return Answer(status, table([(name, visible(value)) for name, value in rows]))
