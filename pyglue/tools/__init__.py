"""The tools that a model gets on an agent's or the manager's socket.

One definition for everyone who offers them, by ``pyglue.mcp``: the harness (over the
CLI's pipes) and ``hive-mcp`` (stdio). A tool is a name, a description, a JSON schema
and a coroutine over a connection; each is one method of ``pyglue.api``, except
``request_apply_commit``, which sends a commit as a pack (``submit``). hived checks
everything again: nothing here is a boundary.
"""

from pyglue.tools.agent import agent_tools, lending_tools
from pyglue.tools.manager import manager_tools
from pyglue.tools.tool import HIVE, RESULT_CHARS, Answer, Caller, Tool

__all__ = [
    "HIVE",
    "RESULT_CHARS",
    "Answer",
    "Caller",
    "Tool",
    "agent_tools",
    "lending_tools",
    "manager_tools",
]
