"""Generate the tables of tools in docs/agents.md from pyglue.tools.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1
when the page differs. Names and arguments are those of the schemas that models see.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyglue.tools import Tool, agent_tools, lending_tools, manager_tools

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "docs/agents.md"


def tables() -> dict[str, tuple[Tool, ...]]:
    """Return the tools of each table, by the name in the page's markers."""
    ours = agent_tools()
    return {
        "tools": ours,
        "manager's tools": manager_tools(Path("/agents"))[len(ours) :],
        "hive-mcp's tools": lending_tools(),
    }


def table(tools: Sequence[Tool]) -> str:
    """Return the Markdown table of some tools."""
    rows = ["| tool | |", "|---|---|"]
    for tool in tools:
        needed = tool.schema["required"]
        names = [
            name if name in needed else f"{name}?" for name in tool.schema["properties"]
        ]
        rows.append(f"| `{tool.name}({', '.join(names)})` | {tool.summary} |")
    return "\n".join(rows)


def render(page: str) -> str:
    """Return the page with its tables anew."""
    for name, tools in tables().items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, found, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        assert found and ended, name
        page = f"{before}{begin}\n{table(tools)}\n{end}{after}"
    return page


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` name it if it differs."""
    page = TARGET.read_text()
    text = render(page)
    if text == page:
        return 0
    shown = TARGET.relative_to(ROOT)
    if arguments == ["--check"]:
        print(f"{shown} is out of date: run `make generate`.")
        return 1
    TARGET.write_text(text)
    print(f"wrote {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
