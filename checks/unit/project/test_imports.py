"""Imports point one way, and each heavy library has one home.

Read from the source, so an import inside a function counts too. A new part of the
package must be given its layer here.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from checks.kits.suite.sources import PACKAGE, SOURCES, each, place

SHARED_FLOORS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"errors", "limits", "startup"}),
    frozenset({"names", "paths", "process", "text", "models"}),
    frozenset({"strict_json", "net", "clock", "files"}),
    frozenset({"api", "archive", "bash_policy", "sandbox"}),
    frozenset({"config", "jsonrpc", "manifest", "tools"}),
    frozenset({"handover", "program", "redaction"}),
)
"""Packages that every program may use, from the ground up: each imports those below."""
_SHARED: Final = frozenset().union(*SHARED_FLOORS)
_MIDDLE: Final = frozenset({"store", "git", "nix"})
MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    **{
        name: frozenset().union(*SHARED_FLOORS[:floor])
        for floor, names in enumerate(SHARED_FLOORS)
        for name in names
    },
    **dict.fromkeys(_MIDDLE, _SHARED),
    "host": _SHARED | _MIDDLE,
    "harness": _SHARED | {"mcp"},
    "relay": _SHARED,
    "notify": _SHARED,
    "egress": _SHARED,
    "web": _SHARED,
    "demo": _SHARED,
    "cli": _SHARED | {"demo", "nix"},
    "mcp": _SHARED,
    "__init__": frozenset(),
}

HOMES: Final[dict[str, tuple[str, ...]]] = {
    "pygit2": ("git",),
    "peewee": ("store",),
    "flask": ("web",),
    "flask_sock": ("web",),
    "werkzeug": ("web",),
    "jinja2": ("web",),
    "gunicorn": ("web",),
    "pygments": ("web",),
    "markdown_it": ("web/pages/markdown.py",),
    "aiohttp": ("relay", "demo", "notify/push.py"),
    "aiohappyeyeballs": ("egress",),
    "apprise": ("notify",),
    "cryptography": ("egress/authority.py", "host/push/seal.py"),
    "h11": ("egress",),
    "requests": (),
    "httpx": (),
    "http.server": (),
    "http.client": (),
    "urllib.request": (),
    "socketserver": (),
    "sqlite3": ("store",),
    "claude_agent_sdk": (),
    "tree_sitter": ("harness",),
    "mcp": (),
    "oncalendar": ("clock/calendar_times.py",),
    "segno": ("cli/output/qr.py",),
    "dbus_fast": ("host/backends",),
    "jsonschema": ("manifest/schema.py",),
    "subprocess": ("process",),
    "multiprocessing": (),
    "pty": ("process",),
    "ctypes": (
        "sandbox/admit.py",
        "sandbox/expose.py",
        "process/watch.py",
        "files/disk_space.py",
    ),
    "pickle": (),
    "yaml": (),
}
"""Who may import a library; nobody may where the list is empty."""

_STARTERS: Final = frozenset(
    {
        *("create_subprocess_exec", "create_subprocess_shell", "subprocess_exec"),
        *("subprocess_shell", "system", "popen", "fork", "forkpty", "posix_spawn"),
        *("posix_spawnp", "execv", "execve", "execvp", "execvpe", "execl", "execlp"),
        *("spawnv", "spawnve", "spawnl", "startfile"),
    }
)
_MAY_START: Final = (
    "sandbox/admit.py",
    "sandbox/hold.py",
    "sandbox/expose.py",
    "process/login_shell.py",
)


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def lives_in(path: Path, homes: tuple[str, ...]) -> bool:
    own = place(path)
    return any(own == home or own.startswith(f"{home}/") for home in homes)


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all that a file consists of, the module first."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, by its full name."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}: write imports in full"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def root(node: ast.expr) -> str | None:
    """Return the name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


@each(SOURCES)
def test_direction(path: Path) -> None:
    own = part(path)
    assert own in MAY_IMPORT, f"give {own} a layer in {__file__}"
    for name in imports(path):
        top, _, rest = name.partition(".")
        wanted = rest.partition(".")[0]
        if top != "pyglue" or wanted in ("", "__version__", own):
            continue
        assert wanted in MAY_IMPORT[own], f"{own} must not import pyglue.{wanted}"


@each(SOURCES)
def test_libraries_have_one_home(path: Path) -> None:
    for name in imports(path):
        for library, homes in HOMES.items():
            if name == library or name.startswith(f"{library}."):
                assert lives_in(path, homes), f"{library} is not for {place(path)}"


@each(SOURCES)
def test_programs_are_started_in_one_place(path: Path) -> None:
    for node in nodes(path):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            assert keyword.arg not in ("shell", "preexec_fn"), ast.unparse(node)
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in _STARTERS:
            owner = ast.unparse(function.value)
            if owner in ("os", "asyncio", "loop"):
                assert lives_in(path, _MAY_START), ast.unparse(function)


_MAY_DECODE: Final = (
    "strict_json",
    "sandbox/admit.py",  # imports nothing of the package; hived wrote its arguments
    "sandbox/expose.py",  # the same
    "demo/playbook.py",  # finds a script within a text
)
_DECODERS: Final = re.compile(
    r"\b(json[.](loads?|JSONDecoder)|msgspec[.](json[.](decode|Decoder)|convert"
    r"|[A-Za-z]*Error))\b"
)


@each(SOURCES)
def test_json_is_decoded_in_one_place(path: Path) -> None:
    """What decoders raise differs by library and version: one module knows it all."""
    for node in nodes(path):
        if not isinstance(node, ast.Attribute) or root(node) not in ("json", "msgspec"):
            continue
        if _DECODERS.match(ast.unparse(node)):
            assert lives_in(path, _MAY_DECODE), (
                f"{place(path)}: use pyglue.strict_json, not {ast.unparse(node)}"
            )


_MAY_NAME_BACKENDS: Final = (
    "host/backends",
    "host/wiring",
    "config",
    "cli/local",  # writes the configuration of a hive without NixOS
)
_BACKEND_NAMES: Final = frozenset({"local", "nixos-container"})


@each(SOURCES)
def test_what_a_backend_knows_is_a_member_of_it(path: Path) -> None:
    """Nobody else asks which backend it is: a third one would be forgotten there."""
    if lives_in(path, _MAY_NAME_BACKENDS):
        return
    for node in nodes(path):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            parts = [node.subject]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        for part_ in parts:
            text = ast.unparse(part_)
            assert not text.endswith((".backend", ".backend.name")), text
            for inner in ast.walk(part_):
                if isinstance(inner, ast.Constant):
                    assert inner.value not in _BACKEND_NAMES, f"{place(path)}: {text}"


FLOORS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"backends", "policy"}),
    frozenset({"core"}),
    frozenset({"messages", "push"}),
    frozenset({"control", "model"}),
    frozenset({"agents"}),
    frozenset({"changes"}),
    frozenset({"watch"}),
    frozenset({"rebuild"}),
    frozenset({"life", "archives", "doctor"}),
    frozenset({"api"}),
    frozenset({"wiring"}),
    frozenset({"bootstrap"}),
    frozenset({"main", "__init__"}),
)
"""hived's packages from the ground up: each imports its own and those below."""


def floor_of(package: str) -> int:
    found = [n for n, floor in enumerate(FLOORS) if package in floor]
    assert found, f"give pyglue.host.{package} a floor in {__file__}"
    return found[0]


@each((PACKAGE / "host").rglob("*.py"))
def test_floors_of_host(path: Path) -> None:
    own = path.relative_to(PACKAGE / "host").parts[0].removesuffix(".py")
    for name in imports(path):
        if not name.startswith("pyglue.host."):
            continue
        other = name.split(".")[2]
        assert other == own or floor_of(other) < floor_of(own), (
            f"{own} must not import pyglue.host.{other}"
        )


@pytest.mark.parametrize(("top", "floors"), [("", SHARED_FLOORS), ("host", FLOORS)])
def test_floors_name_only_what_there_is(
    top: str, floors: tuple[frozenset[str], ...]
) -> None:
    here = {path.name.removesuffix(".py") for path in (PACKAGE / top).iterdir()}
    assert frozenset().union(*floors) <= here
    assert sum(map(len, floors)) == len(frozenset().union(*floors))


@each(PACKAGE.rglob("__init__.py"))
def test_every_package_says_what_it_owns(path: Path) -> None:
    module = nodes(path)[0]
    assert isinstance(module, ast.Module)
    said = ast.get_docstring(module)
    assert said, f"{place(path)}: say in a docstring what this package owns"
