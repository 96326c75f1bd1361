"""The documents are correct: examples evaluate, links resolve, commands are listed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.fuzz.table import TARGETS
from checks.kits.patience import PATIENCE_S
from pyglue.cli.commands.registry import COMMANDS
from pyglue.harness.gate.gate import Gate
from pyglue.manifest import schema
from pyglue.nix import Evaluator
from pyglue.text.option_path import option_path
from pyglue.tools import manager_tools

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PAGES = tuple(
    sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda p: str(p))
)
AGENTS = (ROOT / "docs/agents.md").read_text()


def examples() -> Iterator[dict[str, str]]:
    """Yield the files of each example; one begins with its agent.nix."""
    files: dict[str, str] = {}
    for block in re.findall(r"```nix\n(.*?)```", AGENTS, re.DOTALL):
        name = block.partition("\n")[0].removeprefix("# ")
        if name == "agent.nix" and files:
            yield files
            files = {}
        files[name] = block
    yield files


@pytest.mark.needs("nix")
@pytest.mark.parametrize("files", list(examples()), ids=range(len(list(examples()))))
async def test_an_example_evaluates(tmp_path: Path, files: dict[str, str]) -> None:
    tmp_path.chmod(0o755)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = await Evaluator(timeout=PATIENCE_S).evaluate(tmp_path)
    manifest = schema.validate(found.manifest)
    assert manifest["description"]
    assert found.nixos_options == ()


def test_the_table_of_patterns_is_what_the_gate_does() -> None:
    section = AGENTS.partition("## Bash patterns")[2].partition("\n## ")[0]
    rows = [
        row.split("|")[1:4] for row in section.splitlines() if row.startswith("| `")
    ]
    assert len(rows) >= 4
    for row in rows:
        pattern, good, bad = (re.findall("`([^`]+)`", cell) for cell in row)
        gate = Gate(tools=["Bash"], bash_allow=pattern)
        assert good and bad
        assert [c for c in good if gate.refusal_of_command(c) is not None] == []
        assert [c for c in bad if gate.refusal_of_command(c) is None] == []


def test_every_tool_is_in_the_tables(tmp_path: Path) -> None:
    section = AGENTS.partition("## Tools")[2].partition("\n## ")[0]
    for tool in manager_tools(tmp_path):
        found = re.search(rf"`{tool.name}\(([^)]*)\)`", section)
        assert found, tool.name
        named = [word.strip(" ") for word in found[1].split(",") if word.strip()]
        wanted = [
            name if name in tool.schema["required"] else f"{name}?"
            for name in tool.schema["properties"]
        ]
        assert named == wanted, tool.name


def test_every_option_is_in_the_reference() -> None:
    text = (ROOT / "docs/options.md").read_text()
    for option in schema.Schema.load().options:
        assert f"## `{option_path(option.path)}`\n" in text


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert re.search(rf"`hive {command.name}[ `]", text), command.name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path) if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def anchors(page: Path, level: str = "#+") -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    found = set()
    for heading in re.findall(rf"^{level} (.+)$", page.read_text(), re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
        found.add(kept.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_table_of_contents_names_every_section(page: Path) -> None:
    contents = page.read_text().partition("\n## ")[0]
    linked = set(re.findall(r"\]\(#([^)]+)\)", contents))
    if linked:
        assert anchors(page, "##") - linked == set()


def test_the_files_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(
        re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|nix|js|json|md|html|svg))`", text)
    )
    assert len(named) > 60
    roots = (ROOT, ROOT / "pyglue", ROOT / "pyglue/host")
    gone = {name for name in named if not any((root / name).exists() for root in roots)}
    assert gone == {"pyglue/store/migrations/mNNNN_name.py"}  # the new one


def sentences() -> Iterator[str]:
    """Yield every text in the code, with … for what is put in."""
    for path in (ROOT / "pyglue").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_quotes_what_the_code_says() -> None:
    guide = (ROOT / "docs/operator-guide.md").read_text()
    section = guide.partition("## Troubleshooting")[2]
    quoted = re.findall(r"^\| \*(.+?)\* \|", section, re.MULTILINE)
    assert len(quoted) > 15
    said = list(sentences())
    for quote in quoted:
        parts = re.split(r"…|\bN\b|\bNAME\b|'[xy]'|[0-9]+|\$", quote)
        for part in (one.strip(" .:(") for one in parts):
            assert any(part in text for text in said), f"{part!r} of {quote!r}"


def test_every_test_that_the_security_page_names_is_there() -> None:
    text = (ROOT / "docs/security.md").read_text()
    named = set(re.findall(r"`(checks/[\w/]+\.py)::(\w+)`", text))
    assert len(named) > 30
    for file, function in named:
        body = (ROOT / file).read_text()
        assert re.search(rf"^(async )?def {function}\(", body, re.MULTILINE), (
            f"{file}::{function}"
        )


def test_every_target_of_the_fuzzing_shows_something() -> None:
    text = (ROOT / "docs/security.md").read_text()
    named = set()
    for several in re.findall(r"targets? (`\w+`(?:(?:, | and )`\w+`)*)", text):
        named |= set(re.findall(r"`(\w+)`", several))
    known = {target.name for target in TARGETS}
    assert named <= known
    # What they show is said in words: every method answers, the gate is policy.
    assert known - named == {"rpc", "gate"}
