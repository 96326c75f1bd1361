"""The commands that start, stop and restart an agent."""

import argparse

from pyglue.api.manager import RESTART, START, STOP, AgentParams
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.waiting import ended
from pyglue.jsonrpc import SyncClient


def start(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Start an agent."""
    params = AgentParams(agent=arguments.agent)
    return ended(client, client.call(START, params).operation)


def stop(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Stop an agent."""
    params = AgentParams(agent=arguments.agent)
    return ended(client, client.call(STOP, params).operation)


def restart(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Restart an agent."""
    params = AgentParams(agent=arguments.agent)
    return ended(client, client.call(RESTART, params).operation)
