"""The command ``wakeups``: what wakes an agent from outside."""

import argparse

from pyglue.api import operator as api
from pyglue.api.manager import AgentParams
from pyglue.api.wakeups import Wakeups
from pyglue.cli.output.answer import Answer
from pyglue.cli.output.show import schedule_lines, webhook_lines
from pyglue.jsonrpc import SyncClient


def wakeups(client: SyncClient, arguments: argparse.Namespace) -> Answer:
    """Show when an agent is woken, with the next times."""
    name = arguments.agent
    detail = client.call(api.AGENT, AgentParams(agent=name))
    result = Wakeups(schedule=detail.schedule, webhooks=detail.webhooks)
    lines = [*schedule_lines(result.schedule), *webhook_lines(result.webhooks)]
    text = "\n".join(lines).strip() or f"{name} has no schedule and no webhook."
    return Answer(result, text)
