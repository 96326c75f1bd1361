"""The command ``workspace``: directories that agents can use by name."""

import argparse
from collections.abc import Sequence

from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.workspaces import WorkspaceAddParams, WorkspaceParams
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import table
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import check_name
from pyglue.jsonrpc import SyncClient
from pyglue.text.display import listed, visible


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``workspace``."""
    parser.add_argument("action", choices=("list", "add", "remove"), help="what to do")
    parser.add_argument("name", metavar="NAME", nargs="?", help="name, such as site")
    parser.add_argument(
        "path", metavar="PATH", nargs="?", help="with add: the directory on this host"
    )


def workspace(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """List the workspaces, add one, or remove one."""
    action, name, path = arguments.action, arguments.name, arguments.path
    if action == "list":
        return _list(client)
    if name is None or (action == "add") != (path is not None):
        form = "NAME PATH" if action == "add" else "NAME"
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"Usage: hive workspace {action} {form}."
        )
    check_name(name)
    if action == "remove":
        done = client.call(api.WORKSPACE_REMOVE, WorkspaceParams(name=name))
        return Answer(done, f"Removed {name}. The directory itself is unchanged.")
    params = WorkspaceAddParams(name=name, path=path)
    done = client.call(api.WORKSPACE_ADD, params)
    return Answer(
        done,
        f"Added {name}. An agent gets it with hyperhive.workspaces.{name} in its "
        "agent.nix.",
    )


def _list(client: SyncClient) -> Answer:
    result = client.call(api.WORKSPACES, NoParams())
    rows: list[Sequence[str]] = [("NAME", "PATH", "AGENTS", "")]
    for one in result.workspaces:
        note = one.problem or ("host's configuration" if one.configured else "")
        rows.append(
            (one.name, visible(one.path), listed(one.agents) or "-", visible(note))
        )
    return Answer(result, table(rows) if result.workspaces else "No workspaces.")
