"""Checks of a proposed manifest beyond its types.

Called with every proposal (``changes.evaluation``) and by ``hive manifest``. They
refuse options that can never work, or would not be what the operator approved: a model
that the relay refuses, a Bash pattern that allows nothing, a path that exists only
where agent.nix was evaluated, text that Claude Code would replace at run time. Earlier
deployments are not checked again: a rollback to them is always possible.
"""

import difflib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any, Final

from pyglue import strict_json
from pyglue.bash_policy import review
from pyglue.clock import calendar_times
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import exposed_secrets, injected_secrets
from pyglue.manifest.record import PinnedRecord
from pyglue.manifest.schema import Schema
from pyglue.models.catalogue import KNOWN, Catalogue
from pyglue.net import hosts
from pyglue.net.addresses import is_public
from pyglue.paths import share
from pyglue.text.display import quoted
from pyglue.text.option_path import ROOT, option_path

_STORE_PATH: Final = re.compile(r"/nix/store/[0-9a-z]{32}-[A-Za-z0-9+._?=-]+")
_EXPANDED: Final = re.compile(r"\$\{[^}]+\}")
"""Text that Claude Code replaces in an MCP server's configuration: ``${A}``,
``${A:-b}``."""
_TOOLS: Final = (
    *("Bash", "Read", "Edit", "MultiEdit", "Write", "Glob", "Grep", "Monitor", "LSP"),
    *("WebFetch", "WebSearch", "ToolSearch", "NotebookEdit", "NotebookRead", "LS"),
    *("Agent", "Task", "TodoWrite", "TodoRead", "Skill", "BashOutput", "KillShell"),
    *("TaskCreate", "TaskUpdate", "TaskList", "TaskGet", "TaskOutput", "TaskStop"),
)
"""Everyday tools of Claude Code, old and new."""
_INSTEAD: Final = (
    "The files of the agent's repository are not in its container. Keep the file in "
    "the agent's /state and name it there (/state/server.py), or pass its text: "
    'args = [ "-c" (builtins.readFile ./server.py) ]'
)


def check(
    manifest: Mapping[str, Any],
    *,
    evaluated_at: str,
    nixos_options: Sequence[str] = (),
    ignored: bool = False,
    models: Catalogue = KNOWN,
) -> None:
    """Refuse a manifest that could not work.

    ``evaluated_at`` is where its directory was while it was evaluated.
    ``nixos_options`` are set outside ``hyperhive``; ``ignored``: by a hive without
    NixOS, where nothing else finds a misspelt one. ``models`` are the hive's.

    Raises:
        HiveError: ``manifest_invalid``; ``details["problems"]`` has each sentence.
    """
    found = [
        *_model(manifest, models),
        *review.useless(manifest),
        *_paths(manifest, evaluated_at),
        *_expanded(manifest),
        *_prefixed(manifest),
        *_mistyped(manifest),
        *_times(manifest),
        *_hosts(manifest),
        *_secrets(manifest),
        *_outside(nixos_options, ignored=ignored),
    ]
    if found:
        raise HiveError(
            ErrorCode.MANIFEST_INVALID,
            f"The agent could not work as proposed. {' '.join(found)}",
            details={"problems": [{"message": problem} for problem in found]},
        )


def notes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return notes on options that work, but perhaps not as intended."""
    found = [
        f"{option_path(path)} contains carriage returns (U+000D), as in files with "
        "Windows line ends. They are kept; save the files with LF to remove them."
        for path, text in _texts(manifest, ())
        if "\r" in text
    ]
    return tuple(found)


def _model(manifest: Mapping[str, Any], models: Catalogue) -> Iterator[str]:
    name = manifest.get("model")
    reason = models.unknown(name) if isinstance(name, str) else None
    if reason is not None:
        yield f"{option_path(('model',))}: {reason}"


def _hosts(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Find hosts that cannot be reached: invalid, or without a public address."""
    found = manifest.get("hosts")
    for index, entry in enumerate(found if isinstance(found, list) else ()):
        option = option_path(("hosts", index))
        try:
            address = hosts.parse(entry).address
        except HiveError as error:
            yield f"{option}: {error}"
            continue
        if address is not None and not is_public(address):
            yield (
                f"{option} is {quoted(entry)}, which is not a public address: "
                "hive-egress connects to no private, loopback or link-local one."
            )


def _secrets(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Find secrets that cannot be used as written."""
    if manifest.get("secrets"):
        typed = PinnedRecord(manifest, None).typed
        yield from injected_secrets.problems(typed)
        yield from exposed_secrets.problems(typed)


def _times(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Find schedules that are invalid or never occur."""
    schedule = manifest.get("schedule")
    for name, one in schedule.items() if isinstance(schedule, Mapping) else ():
        option = option_path(("schedule", name, "at"))
        try:
            calendar = calendar_times.parse(one["at"], UTC)
        except HiveError as error:
            yield f"{option}: {error}"
            continue
        if calendar.after(time.time()) is None:
            yield f"{option} is {quoted(calendar.text)}, which never occurs again."


def _paths(manifest: Mapping[str, Any], evaluated_at: str) -> Iterator[str]:
    """Find paths of files that only exist while agent.nix is evaluated."""
    inside = re.compile(rf"{re.escape(evaluated_at)}(?![\w.-])[\w./+-]*")
    for path, text in _texts(manifest, ()):
        for match in _STORE_PATH.finditer(text):
            if not Path(match[0]).exists():
                yield _no_path(path, match[0])
                break
        else:
            found = inside.search(text)
            if found is not None:
                yield _no_path(path, found[0])


def _no_path(option: tuple[str | int, ...], path: str) -> str:
    return (
        f"{option_path(option)} names {quoted(path)}, which does not exist for the "
        "agent: it is a path of the evaluation, as from ./FILE or toString. "
        f"{_INSTEAD}."
    )


def _expanded(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Find text that would differ at run time from what was approved."""
    for path, text in _texts(manifest.get("mcpServers"), ("mcpServers",)):
        match = _EXPANDED.search(text)
        if match is not None:
            yield (
                f"{option_path(path)} contains {quoted(match[0], limit=80)}, which "
                "Claude Code would replace with an environment variable at run time, "
                "so that it would differ from what is approved. Write the value "
                "itself; the server gets the variables of its env and of hyperhive.env."
            )


def _prefixed(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Find tools that have the prefix of Claude Code's permissions in their name."""
    servers = manifest.get("mcpServers")
    for name, server in servers.items() if isinstance(servers, Mapping) else ():
        for at, tool in enumerate(server.get("allowedTools") or ()):
            bare = tool.removeprefix(f"mcp__{name}__")
            if bare != tool:
                option = option_path(("mcpServers", name, "allowedTools", at))
                shown = f"{quoted(tool)}: write {quoted(bare)}, without prefix"
                yield f"{option} is {shown}."


def _mistyped(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Find built-in tools whose names are nearly those of everyday ones.

    Only the installed Claude Code knows all of its tools: the deploy fails without one.
    """
    for at, tool in enumerate(manifest.get("allowedTools") or ()):
        close = difflib.get_close_matches(tool, _TOOLS, n=1, cutoff=0.8)
        if close and tool not in _TOOLS:
            option = option_path(("allowedTools", at))
            yield f"{option} is {quoted(tool)}: did you mean {close[0]}?"


def _outside(options: Sequence[str], *, ignored: bool) -> Iterator[str]:
    """Find names outside ``hyperhive`` that are not options of NixOS either."""
    top = dict.fromkeys(name.partition(".")[0] for name in options)
    if "outputs" in top:
        yield (
            "This is a flake, but agent.nix must be a module: write "
            f"{{ {ROOT} = {{ … }}; }}, or a function of lib and config that gives it."
        )
        return
    declared = {n.split(".")[1] for n in options if n.startswith("options.")}
    nixos = _nixos_names()
    own = {option.path[0] for option in Schema.load().options}
    for name in sorted(top.keys() - {"options"} - declared - nixos):
        meant = None
        if difflib.get_close_matches(name[:100], [ROOT], cutoff=0.75):
            meant = ROOT
        elif name in own:
            meant = f"{ROOT}.{name}"
        elif ignored:
            meant = next(iter(difflib.get_close_matches(name[:100], nixos, n=1)), "")
        if meant is not None:
            hint = f"did you mean {meant}?" if meant else "NixOS has none either."
            yield f"Unknown option {quoted(name)}: {hint}"


@cache
def _nixos_names() -> frozenset[str]:
    path = share() / "modules" / "eval" / "nixos-names.json"
    return frozenset(strict_json.read(path.read_bytes(), list[str]))


def _texts(
    value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every text in a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, number))
