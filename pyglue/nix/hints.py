"""Advice on what to write instead, for errors where Nix only says what is wrong.

Called by ``log`` with a message that is already safe to display. Recognises spellings
from Claude Code's own settings, which authors know, and files that were not committed.
"""

import re
from typing import Final

from pyglue.models.catalogue import KNOWN

_NO_OPTION: Final = re.compile(
    r"The option `hyperhive\.mcpServers\.\S+\.(?:type|url|headers|transport)' does not"
)
_BASH: Final = re.compile(r"A definition for option `hyperhive\.bash\.allow\b")
_MODEL: Final = re.compile(r"A definition for option `hyperhive\.model'")
_TOOLS: Final = re.compile(r"A definition for option `hyperhive\.allowedTools\b")
_PERMISSION: Final = re.compile(r'"Bash\(([^()"]*)\)"')
_MCP_TOOL: Final = re.compile(r'"mcp__([a-zA-Z0-9-]+(?:_[a-zA-Z0-9-]+)*)__([\w.*-]+)"')
_MISSING: Final = (
    re.compile(r"(?:getting status of|opening file) '([^'/][^']*)': No such file"),
    re.compile(r"path '([^'/][^']*)' does not exist"),
)


def with_hint(message: str, commit: str | None) -> str:
    """Return the message, with advice if there is any.

    ``commit``: the files belong to that commit, not to a working tree.
    """
    if _NO_OPTION.search(message):
        return (
            f"{message.partition('Did you mean')[0].rstrip()}\n\nOnly servers that "
            "speak MCP over stdio are supported. Set `command` and `args`, and leave "
            "out `type`, `url` and `headers`."
        )
    if _MODEL.search(message):
        return f"{message}\n\n{KNOWN.names()}"
    if _BASH.search(message):
        return f"{message}\n\n{_pattern(message)}"
    if _TOOLS.search(message):
        hint = _tool(message)
        return message if hint is None else f"{message}\n\n{hint}"
    for pattern in _MISSING:
        match = pattern.search(message)
        if match is not None:
            return _missing(match[1], commit)
    return message


def _pattern(message: str) -> str:
    wanted = [_plain(text) for text in _PERMISSION.findall(message)]
    if wanted:
        return f"Write the command alone: {' '.join(map(_nix, wanted))}."
    return (
        "A pattern is one plain command: no quotes, variables or redirections. Each "
        "command of a line such as `a && b | c` needs a pattern of its own."
    )


def _tool(message: str) -> str | None:
    wanted = [_plain(text) for text in _PERMISSION.findall(message)]
    if wanted:
        return (
            'Write "Bash" here, and the commands in hyperhive.bash.allow: '
            f"{' '.join(map(_nix, wanted))}."
        )
    match = _MCP_TOOL.search(message)
    if match is not None:
        return f'Write "{match[2]}" in hyperhive.mcpServers.{match[1]}.allowedTools.'
    return None


def _plain(permission: str) -> str:
    """Return Claude Code's ``git diff:*`` as a pattern of this gate."""
    text = " ".join(permission.split())
    return f"{text[:-2]} *" if text.endswith(":*") else text


def _nix(text: str) -> str:
    return f'"{text}"'


def _missing(file: str, commit: str | None) -> str:
    if commit is None:
        return f"{file} does not exist in the agent's directory"
    return (
        f"{file} is not in commit {commit[:12]}. If it is in the working tree, run "
        f"`git add {file}`, commit, and propose that commit"
    )
