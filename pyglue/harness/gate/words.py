"""Reads a shell command into literal words, or refuses it.

The gate decides over words, so this must see exactly what the shell will run. It
parses with tree-sitter's Bash grammar, takes only plain lists and pipelines of
simple commands whose every word is literal, and knows nothing else: a node kind, a
character or a gap that is not listed here is a refusal. A second, independent
tokenizer (``shlex``) must read the same words. Called by ``gate`` alone.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Final

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

MAX_LENGTH: Final = 16 * 1024
"""Longest command in characters."""

Command = tuple[str, ...]

_HINT: Final = (
    "Use plain commands with literal words, joined by '&&', '||', ';', '|' or "
    "newlines; put text with special characters in single quotes."
)
_BARE: Final = re.compile(rb"[A-Za-z0-9@%+:,./_-][A-Za-z0-9@%+=:,./_^~-]*")
_TILDE_AFTER: Final = re.compile(rb"[=:]~")  # the shell expands it there too
_QUOTED: Final = re.compile(rb'[^"\\$`]*')
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_JOINS: Final = frozenset({"&&", "||", "|", ";", "\n"})
_NESTS: Final = frozenset({"program", "list", "pipeline"})
_REFUSED_KINDS: Final = {
    "redirected_statement": "redirection",
    "file_redirect": "redirection",
    "herestring_redirect": "redirection",
    "heredoc_redirect": "redirection",
    "variable_assignment": "an assignment in front of a command",
    "variable_assignments": "an assignment",
    "declaration_command": "a declaration",
    "command_substitution": "command substitution",
    "process_substitution": "process substitution",
    "simple_expansion": "a variable",
    "expansion": "a variable",
    "arithmetic_expansion": "arithmetic",
    "brace_expression": "brace expansion",
    "ansi_c_string": "a $'…' string",
    "translated_string": 'a $"…" string',
    "subshell": "a subshell",
    "compound_statement": "a { } group",
    "function_definition": "a function",
    "negated_command": "'!'",
    "test_command": "a test in brackets",
    "comment": "a comment",
    "&": "running in the background",
    "|&": "'|&'",
}


class RefusedError(Exception):
    """The command is not of the shape that may run; the text says why."""


class ShellReader:
    """Holds the parser; one is made for each gate."""

    def __init__(self) -> None:
        self._parser = Parser(Language(tree_sitter_bash.language()))

    def read(self, text: str) -> tuple[Command, ...]:
        """Return the simple commands of ``text``, each as its words.

        Raises:
            RefusedError: for anything that is not plainly literal.
        """
        if len(text) > MAX_LENGTH:
            raise RefusedError(f"the command is longer than {MAX_LENGTH} characters.")
        if _CONTROL.search(text):
            raise RefusedError("it contains control characters.")
        try:
            source = text.encode()
        except UnicodeEncodeError:
            raise RefusedError("it is not valid Unicode.") from None
        root = self._parser.parse(source).root_node
        if root.has_error:
            raise RefusedError(f"the shell syntax is not understood. {_HINT}")
        commands = []
        end = 0
        for node in _flat(root):
            if source[end : node.start_byte].strip(b" \t\n"):
                raise RefusedError(f"part of it is not understood. {_HINT}")
            if node.type == "command":
                commands.append(_command(node, source))
            end = node.end_byte
        if source[end:].strip(b" \t\n"):
            raise RefusedError(f"part of it is not understood. {_HINT}")
        if not commands:
            raise RefusedError("it contains no command.")
        return tuple(commands)


def _flat(root: Node) -> Iterator[Node]:
    """Yield commands and what joins them, in order, and refuse all else."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type in _NESTS and node.is_named:
            stack.extend(reversed(node.children))
        elif node.type == "command" or (not node.is_named and node.type in _JOINS):
            yield node
        else:
            raise _refused(node)


def _command(node: Node, source: bytes) -> Command:
    words: list[str] = []
    end = node.start_byte
    for child in node.children:
        gap = source[end : child.start_byte]
        if gap.strip(b" \t") or (not gap and words):
            raise RefusedError(f"part of it is not understood. {_HINT}")
        if child.type == "command_name" and len(child.children) == 1 and not words:
            words.append(_word(child.children[0], source))
        else:
            words.append(_word(child, source))
        end = child.end_byte
    if not words or "=" in words[0] or not words[0]:
        raise RefusedError(f"it does not begin with a program name. {_HINT}")
    if shlex.split(source[node.start_byte : end].decode()) != words:
        raise RefusedError(f"it is ambiguous. {_HINT}")
    return tuple(words)


def _word(node: Node, source: bytes) -> str:
    """Return what the shell makes of a word that has nothing to expand."""
    if node.type == "concatenation":
        end = node.start_byte
        parts = []
        for child in node.children:
            if child.start_byte != end or child.type == "concatenation":
                raise _refused(child)
            parts.append(_word(child, source))
            end = child.end_byte
        return "".join(parts)
    text = source[node.start_byte : node.end_byte]
    if node.type in ("word", "number") and not node.children:
        if not _BARE.fullmatch(text) or _TILDE_AFTER.search(text):
            raise RefusedError(
                f"the word {text.decode()[:60]!a} contains a character with a special "
                f"meaning for the shell. {_HINT}"
            )
        return text.decode()
    if node.type == "raw_string":
        return text[1:-1].decode()
    if node.type == "string":
        kinds = {child.type for child in node.children}
        if kinds <= {'"', "string_content"} and _QUOTED.fullmatch(text[1:-1]):
            return text[1:-1].decode()
        odd = [c for c in node.children if c.type in _REFUSED_KINDS]
        if odd:
            raise _refused(odd[0])
        raise RefusedError(
            f"a double-quoted word contains '$', '`' or a backslash. {_HINT}"
        )
    raise _refused(node)


def _refused(node: Node) -> RefusedError:
    what = _REFUSED_KINDS.get(node.type, f"shell syntax ({node.type[:30]!a})")
    return RefusedError(f"{what} is not allowed. {_HINT}")
