"""The options of the CLI: all from the pinned manifest or fixed.

Created once when the harness starts, so that a turn only adds its session and model.
Long texts (system prompt, MCP servers) go in files of the session directory, because
one argument of a program holds at most 128 KiB. Facts about the CLI that decide these
values: no settings of the workspace are read, other MCP configurations are ignored,
anything that no rule allows is denied, and messages are never expanded as commands or
file mentions.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pyglue.files.replace import replace_file
from pyglue.harness.claude.launch import Hook, Launch, ToolServer
from pyglue.harness.exposed import Exposed
from pyglue.harness.gate.gate import GATED, Gate
from pyglue.harness.load import Loaded, Places, system_prompt
from pyglue.limits import SERVER_START_S
from pyglue.manifest.types import Manifest, McpServer
from pyglue.paths import INSIDE
from pyglue.tools import HIVE

MAX_STEPS: Final = 500
"""Most model calls in one turn; an agent that needs more is going in circles."""
_NO_PROXY: Final[Mapping[str, str]] = {}
_NOWHERE: Final = "http://127.0.0.1:9"
_DEBUG: Final[Mapping[str, str | None]] = {"debug": "mcp", "debug-to-stderr": None}
_FIXED: Final = {
    "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "2",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "ENABLE_TOOL_SEARCH": "false",
    "MAX_MCP_OUTPUT_TOKENS": "200000",
    "MCP_TIMEOUT": f"{SERVER_START_S * 1000:.0f}",
}


class CliOptions:
    """Determines how the CLI of one agent is started."""

    def __init__(
        self,
        loaded: Loaded,
        places: Places,
        *,
        base_url: str,
        key: str,
        hive: ToolServer,
        gate: Gate,
        max_steps: int = MAX_STEPS,
        proxy: Mapping[str, str] = _NO_PROXY,
        exposed: Exposed | None = None,
        partial: Callable[[bytes], None] | None = None,
    ) -> None:
        """``base_url`` and ``key`` are the forwarder's; the relay has the real key.

        ``proxy`` are the variables by which programs find the proxy; ``exposed`` has
        those with secrets, which change. ``partial`` receives the partial output of a
        turn's model.
        """
        self._max_steps = max_steps
        self._partial = partial
        self.context_window: int | None = None
        """Of the model, if the CLI does not know it and must not take it for larger."""
        manifest = loaded.manifest
        self._manifest = manifest
        self._places = places
        self._hive = hive
        self._cli = find_cli()
        self._exposed = exposed
        self._environment = {
            **_environment(manifest, places, base_url, key),
            **proxy,
        }
        self._allowed = _allowed(manifest)
        self._hooks = _hooks(manifest, gate)
        self._prompt = places.session / "hive-system-prompt.md"
        self._servers = places.session / "hive-mcp.json"
        self._texts = {
            self._prompt: system_prompt(loaded, is_manager=places.is_manager),
            self._servers: json.dumps({"mcpServers": _servers(manifest)}),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The CLI's current environment in addition to this process's own."""
        secrets = {} if self._exposed is None else self._exposed.environment
        return {**secrets, **self._environment}

    def turn(
        self,
        *,
        model: str,
        session: str,
        resume: bool,
        verbatim: bool = True,
        budget_usd: float | None = None,
    ) -> Launch:
        """Return how a turn is run; ``verbatim`` is False for CLI commands."""
        return dataclasses.replace(
            self._base(model),
            session=session,
            resume=resume,
            verbatim=verbatim,
            max_steps=self._max_steps,
            budget_usd=budget_usd,
            steers=verbatim and self._manifest.delivery == "boundary",
            partial=self._partial if verbatim else None,
        )

    def probe(self, *, model: str, budget_usd: float | None) -> Launch:
        """Return the launch for one answer, with a turn's options but no
        permissions."""
        return dataclasses.replace(
            self._base(model),
            is_kept=False,
            allowed_tools=(),
            max_steps=1,
            budget_usd=budget_usd,
        )

    def preflight(self) -> Launch:
        """Return the launch for a check of everything without access to a model."""
        unreachable = {"ANTHROPIC_BASE_URL": _NOWHERE, "CLAUDE_CODE_MAX_RETRIES": "0"}
        return dataclasses.replace(
            self._base(self._manifest.model),
            is_kept=False,
            verbatim=False,
            env=self.environment | unreachable | {"ANTHROPIC_API_KEY": "none"},
            extra=_DEBUG if self._manifest.mcp_servers else {},
        )

    def notes(self, *, model: str, system: str) -> Launch:
        """Return the launch for a separate session without any tools."""
        return Launch(
            cli=self._cli,
            cwd=self._places.work,
            env=self._environment,
            model=model,
            system_prompt=system,
            is_kept=False,
        )

    def _window(self) -> dict[str, str]:
        if self.context_window is None:
            return {}
        return {"CLAUDE_CODE_AUTO_COMPACT_WINDOW": str(self.context_window)}

    def _base(self, model: str) -> Launch:
        self._places.session.mkdir(parents=True, exist_ok=True)
        for path, text in self._texts.items():  # anew: the agent can write there
            replace_file(path, text.encode())
        return Launch(
            cli=self._cli,
            cwd=self._places.work,
            env=self.environment | self._window(),
            model=model,
            system_prompt=self._prompt,
            tools=tuple(self._manifest.allowed_tools),
            allowed_tools=self._allowed,
            tools_of_ours={HIVE: self._hive},
            mcp_config=self._servers if self._manifest.mcp_servers else None,
            hooks=self._hooks,
            directories=tuple(
                f"{INSIDE.work}/{name}" for name in sorted(self._manifest.workspaces)
            ),
        )


def find_cli() -> Path | None:
    """Return the CLI on PATH, else the one in claude-agent-sdk, else None.

    That package is only located, because importing it takes most of a second and 50
    MiB.
    """
    on_path = shutil.which("claude")
    if on_path is not None:
        return Path(on_path)
    sdk = find_spec("claude_agent_sdk")
    for directory in (sdk and sdk.submodule_search_locations) or ():
        bundled = Path(directory) / "_bundled" / "claude"
        if bundled.is_file():
            return bundled
    return None


def _environment(
    manifest: Manifest, places: Places, base_url: str, key: str
) -> dict[str, str]:
    """Return the CLI's environment; the harness's own names win."""
    fixed = {
        **_FIXED,
        "ANTHROPIC_API_KEY": key,
        "ANTHROPIC_BASE_URL": base_url,
        "CLAUDE_CONFIG_DIR": str(places.session),
        "HOME": str(places.state),
    }
    if manifest.bash.allow is None:
        del fixed["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"]
    if manifest.network and (places.session / ".credentials.json").is_file():
        # A subscription login, made by the operator in this agent's terminal.
        del fixed["ANTHROPIC_BASE_URL"], fixed["ANTHROPIC_API_KEY"]
    who = "manager" if places.is_manager else "agent"
    identity = {
        name: value
        for role in ("AUTHOR", "COMMITTER")
        for name, value in (
            (f"GIT_{role}_NAME", who),
            (f"GIT_{role}_EMAIL", f"{who}@hive.invalid"),
        )
        if name not in os.environ
    }
    return {**identity, **manifest.env, **fixed}


def _allowed(manifest: Manifest) -> tuple[str, ...]:
    """Return the CLI's allow rules; gated tools are allowed only by their hook."""
    built_in = [t for t in manifest.allowed_tools if t not in GATED]
    theirs = [
        f"mcp__{name}__{tool}"
        for name, server in manifest.mcp_servers.items()
        for tool in server.allowed_tools
    ]
    return (*built_in, f"mcp__{HIVE}__*", *theirs)


def _servers(manifest: Manifest) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "type": "stdio",
            "command": server.command,
            "args": list(server.args),
            "env": dict(server.env),
            **_time_limit(server),
        }
        for name, server in manifest.mcp_servers.items()
    }


def _time_limit(server: McpServer) -> dict[str, Any]:
    if server.tool_timeout is None:
        return {}
    return {"timeout": server.tool_timeout * 1000}


def _hooks(manifest: Manifest, gate: Gate) -> tuple[Hook, ...]:
    gated = [tool for tool in manifest.allowed_tools if tool in GATED]
    if not gated:
        return ()
    return (Hook(event="PreToolUse", matcher="|".join(gated), decide=gate.hook),)
