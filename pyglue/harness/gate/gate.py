"""The gate in front of the tools: which Bash command runs, which tool at all.

A PreToolUse hook of the CLI; the CLI's own patterns are no boundary, so Bash is
allowed by this hook alone. Default is deny. A command runs when every simple
command in it matches a pattern of the manifest and nothing risky hides under a
wildcard (``bash_policy``); for an agent without patterns (null) any command runs. A
refusal tells the model what is allowed. This is policy: the boundary is the container.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyglue.bash_policy import judge, startup, suggest
from pyglue.bash_policy.match import Pattern
from pyglue.harness.gate.words import Command, RefusedError, ShellReader

GATED: Final = frozenset({"Bash", "Monitor", "PowerShell", "REPL"})
"""Built-in tools that run a command line; all pass the same gate."""
_WRITERS: Final = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
_PATHS: Final = ("file_path", "notebook_path", "path")
_SHOWN: Final = 40

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """Why a call is refused, and a pattern that would allow its command, if known."""

    reason: str
    pattern: str | None = None


class Gate:
    """Decides over tool calls of one agent; made once from its manifest."""

    def __init__(
        self,
        *,
        tools: Sequence[str],
        bash_allow: Sequence[str] | None,
        bash_write: bool = False,
        refused: Callable[[str, str, str | None], None] | None = None,
    ) -> None:
        """``tools`` are the built-in tools allowed, ``bash_allow`` the patterns.

        Without patterns (None) any command runs. ``bash_write``: output may go into
        files. ``refused`` hears of each call that the hook refuses: tool, reason and,
        where one is known, a pattern that would allow it.
        """
        self._refused = refused
        self._tools = frozenset(tools)
        self._any = bash_allow is None
        self._allow = tuple(bash_allow or ())
        self._write = bash_write
        self._patterns = [Pattern(text) for text in self._allow]
        self._reader = ShellReader()

    async def hook(self, call: object) -> dict[str, Any]:
        """Answer the CLI's PreToolUse hook; whatever fails here is a refusal."""
        tool: object = None
        try:
            facts = dict(call) if isinstance(call, Mapping) else {}
            tool = facts.get("tool_name")
            refused = self._judge(facts["tool_name"], facts["tool_input"])
        except Exception:
            _log.exception("the gate failed")
            refused = Refusal("The gate failed to judge this call, so it was refused.")
        if refused is not None and self._refused is not None:
            self._refused(str(tool), refused.reason, refused.pattern)
        reason = None if refused is None else refused.reason
        return {
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": "allow" if reason is None else "deny",
                "permissionDecisionReason": reason or "Allowed by the gate.",
            }
        }

    def refusal(self, tool: str, arguments: dict[str, Any]) -> str | None:
        """Say why a tool call is refused; None lets it through."""
        refused = self._judge(tool, arguments)
        return None if refused is None else refused.reason

    def refusal_of_command(self, text: str) -> str | None:
        """Say why a Bash command is refused; None lets it through."""
        return self.refusal("Bash", {"command": text})

    def _judge(self, tool: str, arguments: dict[str, Any]) -> Refusal | None:
        if tool.startswith("mcp__"):
            return None  # the CLI holds these to the manifest's lists
        if tool not in self._tools:
            return Refusal(f"This agent does not have the tool {tool[:60]!a}.")
        if self._any:
            return None
        if tool not in GATED:
            return self._judge_file(tool, arguments)
        if arguments.get("run_in_background"):
            return Refusal(
                "Background commands are not allowed; run the command and wait."
            )
        if arguments.get("dangerouslyDisableSandbox"):
            return Refusal("Remove dangerouslyDisableSandbox.")
        command = arguments.get("command")
        if not isinstance(command, str):
            return Refusal("The command is missing.")
        return self._judge_line(command)

    def _judge_file(self, tool: str, arguments: dict[str, Any]) -> Refusal | None:
        """Refuse to write what a later command would run by itself."""
        if tool not in _WRITERS:
            return None
        for name in _PATHS:
            path = arguments.get(name)
            if isinstance(path, str) and startup.must_not_be_written(path):
                return Refusal(
                    f"{path[:200]!a} is, or contains, a file that a shell, git or "
                    "another program reads as commands or configuration. Agents "
                    "without permission to run any command must not write it."
                )
        return None

    def _judge_line(self, text: str) -> Refusal | None:
        try:
            reading = self._reader.read(text)
        except RefusedError as error:
            return Refusal(f"Not run: {error} {self._allowed()}")
        for path in reading.written:
            reason = self._refusal_of_writing(path)
            if reason is not None:
                return Refusal(f"Not run: {reason} {self._allowed()}")
        for command in reading.commands:
            reason = self._refusal_of_one(command)
            if reason is not None:
                pattern = suggest.pattern(command)
                hint = f"A pattern that would allow it: {pattern}. " if pattern else ""
                return Refusal(f"Not run: {reason}. {hint}{self._allowed()}", pattern)
        return None

    def _refusal_of_writing(self, path: str) -> str | None:
        """Say why output may not go into a file; below the working directory it may."""
        shown = f"output into the file {path[:200]!a}"
        if not self._write:
            return (
                f"{shown} needs hyperhive.bash.write = true. Without it, redirect to "
                "/dev/null, or use the Write tool."
            )
        if path.startswith("/") or startup.goes_up(path):
            return f"{shown}: name a file below the working directory, without '..'."
        if startup.must_not_be_written(path):
            return f"{shown}: a shell, git or another program reads it as commands."
        return None

    def _refusal_of_one(self, command: Command) -> str | None:
        reason = f"{' '.join(command)[:200]!a} matches no allowed pattern"
        for pattern in self._patterns:
            match = pattern.match(command)
            if match is None:
                continue
            risk = judge.problem(match)
            if risk is None:
                return None
            reason = f"{' '.join(command)[:200]!a}: {risk}"
        return reason

    def _allowed(self) -> str:
        if not self._allow:
            return "This agent may not run any Bash command."
        shown = "; ".join(self._allow[:_SHOWN])
        more = len(self._allow) - _SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        return f"Allowed patterns ('*' at the end: any further words): {shown}{tail}"
