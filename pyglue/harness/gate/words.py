"""Reads a shell command into literal words, or refuses it.

The gate decides over words, so this must see exactly what the shell will run. It
parses with tree-sitter's Bash grammar, takes only plain lists and pipelines of
simple commands whose words are literal or a glob of ``*`` and ``?``, and knows nothing
else: a node kind, a character or a gap that is not listed here is a refusal. A second,
independent tokenizer (``shlex``) must read the same words. Output may go to a file, to
/dev/null or where another descriptor goes. Called by ``gate`` alone.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from pyglue.bash_policy.match import Glob

MAX_LENGTH: Final = 16 * 1024
"""Longest command in characters."""

Command = tuple[str, ...]

NOWHERE: Final = "/dev/null"
_HINT: Final = (
    "Use plain commands with literal words, joined by '&&', '||', ';', '|' or "
    "newlines; put text with special characters in single quotes."
)
_BARE: Final = re.compile(rb"[A-Za-z0-9@%+:,./_-][A-Za-z0-9@%+=:,./_^~-]*")
_GLOB: Final = re.compile(rb"[A-Za-z0-9@%+:,./_*?-][A-Za-z0-9@%+=:,./_*?-]*")
_DESCRIPTOR: Final = re.compile(rb"[0-9]")
_INTO_FILE: Final = frozenset({">", ">>", ">|", "&>", "&>>"})
_TILDE_AFTER: Final = re.compile(rb"[=:]~")  # the shell expands it there too
_QUOTED: Final = re.compile(rb'[^"\\$`]*')
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_JOINS: Final = frozenset({"&&", "||", "|", "|&", ";", "\n"})
_NESTS: Final = frozenset({"program", "list", "pipeline", "redirected_statement"})
_REFUSED_KINDS: Final = {
    "file_redirect": "redirection before the program",
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
}


class RefusedError(Exception):
    """The command is not of the shape that may run; the text says why."""


@dataclass(frozen=True)
class Reading:
    """What a command line runs, and the files that its redirections write."""

    commands: tuple[Command, ...]
    written: tuple[str, ...] = ()


class ShellReader:
    """Holds the parser; one is made for each gate."""

    def __init__(self) -> None:
        self._parser = Parser(Language(tree_sitter_bash.language()))

    def read(self, text: str) -> Reading:
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
        commands: list[Command] = []
        written: list[str] = []
        end = 0
        for node in _flat(root, source):
            if source[end : node.start_byte].strip(b" \t\n"):
                raise RefusedError(f"part of it is not understood. {_HINT}")
            if node.type == "command":
                commands.append(_command(node, source))
            elif node.type == "file_redirect":
                written += _redirection(node, source)
            end = node.end_byte
        if source[end:].strip(b" \t\n"):
            raise RefusedError(f"part of it is not understood. {_HINT}")
        if not commands:
            raise RefusedError("it contains no command.")
        return Reading(tuple(commands), tuple(written))


def _flat(root: Node, source: bytes) -> Iterator[Node]:
    """Yield commands and what joins them, in order, and refuse all else."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type in _NESTS and node.is_named:
            stack.extend(reversed(node.children))
        elif node.type in ("command", "file_redirect") or (
            not node.is_named and node.type in _JOINS
        ):
            yield node
        else:
            raise _refused(node, source)


def _redirection(node: Node, source: bytes) -> Iterator[str]:
    """Yield the file that a redirection writes, if it writes one.

    Known are ``> FILE`` and its like, ``2>&1`` and ``< /dev/null``.
    """
    parts = list(node.children)
    if parts and parts[0].type == "file_descriptor":
        number = parts.pop(0)
        text = source[number.start_byte : number.end_byte]
        if not _DESCRIPTOR.fullmatch(text) or number.end_byte != parts[0].start_byte:
            raise _unknown_redirection(node, source)
    if len(parts) != 2:
        raise _unknown_redirection(node, source)
    sign, target = parts
    gap = source[sign.end_byte : target.start_byte]
    if gap.strip(b" \t"):
        raise _unknown_redirection(node, source)
    if sign.type == ">&":
        text = source[target.start_byte : target.end_byte]
        if gap or not _DESCRIPTOR.fullmatch(text):
            raise _unknown_redirection(node, source)
        return
    word = _word(target, source)
    if isinstance(word, Glob) or not word:
        raise _unknown_redirection(node, source)
    if word == NOWHERE and (sign.type in _INTO_FILE or sign.type == "<"):
        return
    if sign.type not in _INTO_FILE:
        raise _unknown_redirection(node, source)
    yield word


def _unknown_redirection(node: Node, source: bytes) -> RefusedError:
    text = source[node.start_byte : node.end_byte].decode()[:60]
    return RefusedError(
        f"the redirection {text!a} is not allowed; use '> FILE', '>> FILE', '2>&1', "
        f"'> {NOWHERE}' or '< {NOWHERE}', after the command's words."
    )


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
                raise _refused(child, source)
            parts.append(_word(child, source))
            end = child.end_byte
        joined = "".join(parts)
        return Glob(joined) if any(isinstance(p, Glob) for p in parts) else joined
    text = source[node.start_byte : node.end_byte]
    if node.type in ("word", "number") and not node.children:
        if (b"*" in text or b"?" in text) and _GLOB.fullmatch(text):
            return Glob(text.decode())
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
            raise _refused(odd[0], source)
        raise RefusedError(
            f"a double-quoted word contains '$', '`' or a backslash. {_HINT}"
        )
    raise _refused(node, source)


def _refused(node: Node, source: bytes) -> RefusedError:
    what = _REFUSED_KINDS.get(node.type, "this shell syntax")
    text = source[node.start_byte : node.end_byte].decode()[:60]
    return RefusedError(f"{what} ({text!a}) is not allowed. {_HINT}")
