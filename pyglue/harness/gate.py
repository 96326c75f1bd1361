"""The gate in front of the tools: which Bash command runs, which tool at all.

A PreToolUse hook of the CLI; the CLI's own patterns are no boundary, so Bash is
allowed by this hook alone. Default is deny. A command runs when every simple
command in it matches a pattern of the manifest and nothing risky hides under a
wildcard (``risky``). A refusal tells the model what is allowed. This is policy: the
boundary is the container.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from claude_agent_sdk import (
    HookContext,
    HookInput,
    HookJSONOutput,
    PreToolUseHookSpecificOutput,
)
from claude_agent_sdk.types import SyncHookJSONOutput

from pyglue.harness import risky
from pyglue.harness.shellwords import Command, RefusedError, ShellReader

GATED: Final = frozenset({"Bash", "Monitor", "PowerShell", "REPL"})
"""Built-in tools that run a command line; all pass the same gate."""
_SHOWN: Final = 40

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Word:
    text: str
    regex: re.Pattern[str] | None  # None: matches exactly ``text``

    def matches(self, word: str) -> bool:
        if self.regex is None:
            return word == self.text
        if word.startswith("-") and self.text.startswith("*"):
            return False  # a wildcard for a name must not become an option
        return ".." not in word.split("/") and self.regex.fullmatch(word) is not None


class Pattern:
    """An entry of the manifest's Bash list: words, ``*`` in one or as the last."""

    def __init__(self, text: str) -> None:
        parts = text.split()
        self._open_end = bool(parts) and parts[-1] == "*"
        self._words = [
            _Word(part, _wildcard(part) if "*" in part else None)
            for part in (parts[:-1] if self._open_end else parts)
        ]

    def match(self, command: Command) -> tuple[bool, ...] | None:
        """Return for each word if the pattern names it literally; None: no match.

        A pattern that is open at its end adds one False more, so that only the match
        of a pattern without any wildcard is True throughout.
        """
        fixed = len(self._words)
        if len(command) < fixed or (len(command) > fixed and not self._open_end):
            return None
        if not all(w.matches(c) for w, c in zip(self._words, command, strict=False)):
            return None
        literal = tuple(w.regex is None for w in self._words)
        if not self._open_end:
            return literal
        return literal + (False,) * (len(command) - fixed + 1)


class Gate:
    """Decides over tool calls of one agent; made once from its manifest."""

    def __init__(
        self,
        *,
        tools: Sequence[str],
        bash_allow: Sequence[str],
        refused: Callable[[str, str], None] | None = None,
    ) -> None:
        """``tools`` are the built-in tools allowed, ``bash_allow`` the patterns.

        ``refused`` hears of each call that the hook refuses: tool and reason.
        """
        self._refused = refused
        self._tools = frozenset(tools)
        self._allow = tuple(bash_allow)
        self._patterns = [Pattern(text) for text in bash_allow]
        self._reader = ShellReader()

    async def hook(
        self, call: HookInput, _use_id: str | None, _context: HookContext
    ) -> HookJSONOutput:
        """Answer the CLI's PreToolUse hook; whatever fails here is a refusal."""
        try:
            facts: dict[str, Any] = dict(call)
            reason = self.refusal(facts["tool_name"], facts["tool_input"])
        except Exception:
            _log.exception("the gate failed")
            reason = "The gate could not judge this call, so it is refused."
        if reason is not None and self._refused is not None:
            self._refused(str(call.get("tool_name")), reason)
        decided = PreToolUseHookSpecificOutput(
            hookEventName="PreToolUse",
            permissionDecision="allow" if reason is None else "deny",
            permissionDecisionReason=reason or "The gate lets it through.",
        )
        return SyncHookJSONOutput(hookSpecificOutput=decided)

    def refusal(self, tool: str, arguments: dict[str, Any]) -> str | None:
        """Say why a tool call is refused; None lets it through."""
        if tool.startswith("mcp__"):
            return None  # the CLI holds these to the manifest's lists
        if tool not in self._tools:
            return f"The tool {tool[:60]!a} is not among the tools of this agent."
        if tool not in GATED:
            return None
        if arguments.get("run_in_background"):
            return "Commands in the background are not allowed; run it and wait."
        if arguments.get("dangerouslyDisableSandbox"):
            return "Leave dangerouslyDisableSandbox out."
        command = arguments.get("command")
        if not isinstance(command, str):
            return "There is no command."
        return self.refusal_of_command(command)

    def refusal_of_command(self, text: str) -> str | None:
        """Say why a Bash command is refused; None lets it through."""
        try:
            commands = self._reader.read(text)
        except RefusedError as error:
            return f"Not run: {error} {self._allowed()}"
        for command in commands:
            refused = self._refusal_of_one(command)
            if refused is not None:
                return f"Not run: {refused}. {self._allowed()}"
        return None

    def _refusal_of_one(self, command: Command) -> str | None:
        reason = f"{' '.join(command)[:200]!a} matches no allowed pattern"
        for pattern in self._patterns:
            literal = pattern.match(command)
            if literal is None:
                continue
            risk = risky.problem(command, literal)
            if risk is None:
                return None
            reason = f"{' '.join(command)[:200]!a}: {risk}"
        return reason

    def _allowed(self) -> str:
        if not self._allow:
            return "This agent may run no Bash command at all."
        shown = "; ".join(self._allow[:_SHOWN])
        more = len(self._allow) - _SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        return f"Allowed patterns ('*' at the end: any further words): {shown}{tail}"


def _wildcard(word: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, word.split("*"))), re.DOTALL)
