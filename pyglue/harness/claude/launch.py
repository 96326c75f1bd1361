"""How the CLI is started: its arguments, environment, hooks, and our tools.

Created by ``options``, used by ``cli``. A turn that needs a different launch cannot use
a CLI that is already running.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec


class ToolServer(Protocol):
    """An MCP server in this process."""

    async def answer(self, line: bytes) -> bytes | None:
        """Return the line that answers ``line``; None if none does."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A hook that the CLI calls at ``event`` for the tools that ``matcher`` names."""

    event: str
    matcher: str
    decide: Callable[[Any], Awaitable[dict[str, Any]]]


class News(Protocol):
    """Messages to deliver to a running turn."""

    async def line(self) -> tuple[str, str] | None:
        """Return an id and a text for the model; None if there is nothing new."""
        ...

    def echoed(self, line: str) -> None:
        """Record that the CLI has read the line with this id."""
        ...

    @property
    def is_pending(self) -> bool:
        """Whether there is a line that it has not read."""
        ...


def _unheard(_line: str) -> None:
    """Drop a line."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One way to start the CLI. ``extra`` are flags with their values, if any."""

    cli: Path | None
    cwd: Path
    env: Mapping[str, str]
    model: str
    system_prompt: str | Path
    tools: tuple[str, ...] = ()
    allowed_tools: tuple[str, ...] = ()
    tools_of_ours: Mapping[str, ToolServer] = field(default_factory=dict)
    mcp_config: Path | None = None
    hooks: tuple[Hook, ...] = ()
    directories: tuple[str, ...] = ()
    """Directories besides the working directory in which a shell may stay."""
    session: str | None = None
    resume: bool = False
    is_kept: bool = True
    """Whether the session is stored in a file, and can be continued."""
    max_steps: int | None = None
    budget_usd: float | None = None
    verbatim: bool = True
    """Whether a prompt is only text; otherwise it may be a command of the CLI."""
    extra: Mapping[str, str | None] = field(default_factory=dict)
    steers: bool = False
    """Whether it asks for new messages when tool calls have ended."""
    stderr: Callable[[str], None] = _unheard
    partial: Callable[[bytes], None] | None = None
    """Receives the lines with partial model output."""

    def arguments(self) -> list[str]:
        """Return the command line's arguments."""
        return [
            *("--input-format", "stream-json", "--output-format", "stream-json"),
            "--verbose",
            "--strict-mcp-config",
            "--setting-sources=",  # none of the workspace's
            "--permission-mode=dontAsk",
            "--system-prompt-snapshot=off",
            f"--model={self.model}",
            *("--tools", ",".join(self.tools)),
            *(f"--add-dir={place}" for place in self.directories),
            *self._prompt(),
            *self._servers(),
            *self._session(),
            *self._limits(),
            *(["--replay-user-messages"] if self.steers else []),
            *(["--include-partial-messages"] if self.partial is not None else []),
            *(k if v is None else f"{k}={v}" for k, v in self._extra()),
        ]

    def _prompt(self) -> list[str]:
        if isinstance(self.system_prompt, Path):
            return [f"--system-prompt-file={self.system_prompt}"]
        return [f"--system-prompt={self.system_prompt}"]

    def _servers(self) -> list[str]:
        found = []
        if self.allowed_tools:
            found += ["--allowedTools", ",".join(self.allowed_tools)]
        if self.tools_of_ours:
            ours = {name: {"type": "sdk", "name": name} for name in self.tools_of_ours}
            config = msgspec.json.encode({"mcpServers": ours}).decode()
            found += ["--mcp-config", config]
        if self.mcp_config is not None:
            found += ["--mcp-config", str(self.mcp_config)]
        return found

    def _session(self) -> list[str]:
        if not self.is_kept:
            return ["--no-session-persistence"]
        flag = "--resume" if self.resume else "--session-id"
        return [f"{flag}={self.session}"]

    def _limits(self) -> list[str]:
        found = []
        if self.max_steps is not None:
            found.append(f"--max-turns={self.max_steps}")
        if self.budget_usd is not None:
            found.append(f"--max-budget-usd={self.budget_usd}")
        return found

    def _extra(self) -> list[tuple[str, str | None]]:
        return [(f"--{name}", value) for name, value in self.extra.items()]
