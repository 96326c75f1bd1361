"""Starts the CLI once without a model call, to check that everything declared exists.

The CLI reports its tools and the status of its MCP servers only after a prompt, so this
sends a command that it answers itself (``/usage``), with a base URL on which nothing
listens: no request can reach a model. The hello reports the outcome, which decides
whether a deploy succeeds.
"""

import asyncio
import shutil
from dataclasses import dataclass, replace
from typing import Any, Final

from pyglue.api.common import PROBLEM_MAX, ServerStatus
from pyglue.harness.claude.cli import Cli
from pyglue.harness.claude.events import sentence
from pyglue.harness.claude.options import CliOptions, find_cli
from pyglue.harness.claude.stderr import Stderr
from pyglue.harness.claude.stream_json import SystemMessage
from pyglue.harness.claude.wire import CliError
from pyglue.limits import PREFLIGHT_S, SERVER_START_S
from pyglue.manifest.types import Manifest, McpServer
from pyglue.text.display import command_line, visible
from pyglue.tools import HIVE

_LOCAL_COMMAND: Final = "/usage"


@dataclass(frozen=True)
class Checked:
    """The result of the start; ``problem`` is a sentence for people, or None."""

    cli_version: str | None
    servers: tuple[ServerStatus, ...]
    problem: str | None


async def check(
    options: CliOptions, manifest: Manifest, *, timeout_s: float = PREFLIGHT_S
) -> Checked:
    """Start the CLI, inspect it, stop it. Takes about half a second."""
    if find_cli() is None:
        return _failed(
            "Claude Code is not installed: there is no 'claude' on PATH, and none in "
            "claude-agent-sdk."
        )
    missing = _missing_programs(options, manifest)
    if missing:
        return _failed(" ".join(missing))
    stderr = Stderr()
    try:
        launch = replace(options.preflight(), stderr=stderr.take)
    except OSError as error:
        why = error.strerror or error
        return _failed(f"Cannot write the CLI's files in /session: {why}.")
    cli: Cli | None = None
    try:
        async with asyncio.timeout(timeout_s):
            cli = await Cli.start(launch)
            await cli.prompt(_LOCAL_COMMAND)
            init = await _init(cli)
            status = await cli.servers()
    except TimeoutError:
        return _failed(
            f"Claude Code was not ready after {timeout_s:g} seconds.{stderr.of_cli()}"
        )
    except CliError as error:
        return _failed(f"Claude Code did not start: {error}.{stderr.of_cli()}")
    finally:
        if cli is not None:
            await cli.close()
    version = str(init.get("claude_code_version", "")) or None
    reported = {str(server["name"]): dict(server) for server in status}
    problems = [
        *_tool_problems(manifest, init),
        *_server_problems(manifest, reported, stderr),
    ]
    servers = tuple(_status(name, server) for name, server in reported.items())
    return Checked(version, servers, "\n".join(problems)[:PROBLEM_MAX] or None)


def _failed(problem: str) -> Checked:
    return Checked(None, (), sentence(problem))


async def _init(cli: Cli) -> dict[str, Any]:
    async for message in cli.messages():
        if isinstance(message, SystemMessage) and message.subtype == "init":
            return message.data
    raise CliError("it exited without a message")


def _missing_programs(options: CliOptions, manifest: Manifest) -> list[str]:
    path = options.environment.get("PATH")  # None: this process's own
    return [
        f"The program {server.command!a} of the MCP server {name!a} is not installed "
        "here. Install it on this machine; where agents run NixOS, add its package to "
        "environment.systemPackages."
        for name, server in manifest.mcp_servers.items()
        if shutil.which(server.command, path=path) is None
    ]


def _tool_problems(manifest: Manifest, init: dict[str, Any]) -> list[str]:
    there = [str(name) for name in init.get("tools", [])]
    missing = [tool for tool in manifest.allowed_tools if tool not in there]
    if not missing:
        return []
    return [f"This version of Claude Code does not have the tool {', '.join(missing)}."]


def _server_problems(
    manifest: Manifest, reported: dict[str, dict[str, Any]], stderr: Stderr
) -> list[str]:
    problems = []
    if reported.get(HIVE, {}).get("status") != "connected":
        problems.append("The hive's own tools did not connect.")
    for name, server in manifest.mcp_servers.items():
        found = reported.get(name, {})
        if found.get("status") != "connected":
            problems.append(_not_connected(name, server, found, stderr.of(name)))
        else:
            problems.extend(_missing_tools(name, server, found))
    return problems


def _not_connected(
    name: str, server: McpServer, found: dict[str, Any], wrote: str
) -> str:
    error = sentence(str(found.get("error") or ""))
    what = f"The MCP server {name!a} ({command_line([server.command, *server.args])})"
    if found.get("status") == "pending" or "timed out" in error:
        text = f"{what} did not answer within {SERVER_START_S:g} s."
    else:
        why = error or str(found.get("status") or "not started")
        text = f"{what} did not connect: {why}."
    return f"{text} It wrote:\n{wrote}" if wrote else text


def _missing_tools(name: str, server: McpServer, found: dict[str, Any]) -> list[str]:
    there = {str(tool["name"]) for tool in found.get("tools", [])}
    missing = [t for t in server.allowed_tools if t != "*" and t not in there]
    if not missing:
        return []
    has = ", ".join(sorted(there)[:20]) or "none"
    lacks = f"does not have the tool {', '.join(missing)}; it has: {has}."
    return [f"The MCP server {name!a} {lacks}"]


def _status(name: str, server: dict[str, Any]) -> ServerStatus:
    error = server.get("error")
    return ServerStatus(
        name=visible(name, limit=100),
        status=visible(str(server.get("status")), limit=40),
        error=visible(str(error), limit=400) if error else None,
    )
