"""The files that our own interpreter and package need inside a sandbox.

Used by the local backend. The paths are the same inside as outside, read-only: the
virtual environment, its base interpreter (a pyenv below /root works too), this package
and the share tree. Only those directories of a checkout are bound, because it may also
contain the state directory.
"""

import importlib.metadata
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyglue
from pyglue import paths
from pyglue.sandbox import rootfs
from pyglue.sandbox.spec import Bind

_SHARED: Final = ("agents", "modules", "prompts")
_PACKAGE: Final = Path(pyglue.__file__).resolve().parent
_STORE: Final = Path("/nix/store")


@dataclass(frozen=True)
class PythonRuntime:
    """Binds, the beginning of the command line (add ``-m module``), and environment."""

    binds: tuple[Bind, ...]
    argv: tuple[str, ...]
    env: dict[str, str]


def python_runtime(programs: Iterable[str] = ()) -> PythonRuntime:
    """Return the runtime of this package; ``programs`` are made available too.

    Raises:
        HiveError: ``config_invalid`` if the share tree is not found.
    """
    wanted = _Wanted()
    executable = Path(sys.executable)
    share = paths.share()
    for place in (*_libraries(), *(share / name for name in _SHARED)):
        wanted.add(place)
    imports = _imports()
    search = [rootfs.search_path()]
    for program in programs:
        search += wanted.add_program(program)
    search.append(str(executable.parent))
    env = {
        "PATH": ":".join(dict.fromkeys(":".join(search).split(":"))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HIVE_SHARE": str(share),
        "LC_ALL": "C.UTF-8",
    }
    if imports:
        env["PYTHONPATH"] = ":".join(map(str, imports))
    return PythonRuntime(wanted.binds, (str(executable), "-P", "-s"), env)


def program_binds(*programs: str) -> tuple[tuple[Bind, ...], str]:
    """Return the binds that make ``programs`` runnable, and a PATH that finds them.

    Programs that are not installed are left out: running them gives the error.
    """
    wanted = _Wanted()
    search = [rootfs.search_path()]
    for program in programs:
        search += wanted.add_program(program)
    return wanted.binds, ":".join(dict.fromkeys(":".join(search).split(":")))


def own_places() -> tuple[Path, ...]:
    """Return all directories that a process of this hive (such as hive-web) reads."""
    share = paths.share()
    return (*_libraries(), *(share / name for name in (*_SHARED, "web")))


def _libraries() -> tuple[Path, ...]:
    """Return the directories of the interpreter, this package and its imports."""
    return (
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.base_prefix).resolve(),
        Path(sys.executable).resolve().parent.parent,
        _PACKAGE,
        *(entry for entry in _imports() if entry != _PACKAGE.parent),
    )


def _imports() -> list[Path]:
    """Return the paths that the interpreter would not find by itself, usually none.

    PYTHONPATH affects every Python that an agent starts, so it is minimal: paths added
    by a packager's wrapper, and a checkout that is not installed.
    """
    own = (Path(sys.prefix), Path(sys.base_prefix))
    imports = [
        entry
        for entry in map(Path, sys.path)
        if entry.is_dir()
        and not any(entry.is_relative_to(prefix) for prefix in own)
        and entry.name in ("site-packages", "dist-packages")
    ]
    found = importlib.metadata.distributions(name="hyperhive")
    # A build leaves metadata in the checkout too, which is not an installation.
    if all(Path(str(each.locate_file(""))) == _PACKAGE.parent for each in found):
        imports.insert(0, _PACKAGE.parent)
    return imports


class _Wanted:
    """Collects paths; leaves out those that are already bound."""

    def __init__(self) -> None:
        self._bound = rootfs.directories()
        self._places: list[Path] = []

    def add(self, path: Path) -> None:
        """Add ``path`` at its own place."""
        if path.is_relative_to(_STORE):
            path = _STORE  # The closure cannot be derived from one of its paths.
        done = [*self._bound, *self._places]
        if path.exists() and not any(path.is_relative_to(place) for place in done):
            self._places.append(path)

    def add_program(self, name: str) -> list[str]:
        """Add an installed program; return the directories to search for it."""
        found = shutil.which(name)
        if found is None:
            return []
        path = Path(found).absolute()
        for place in dict.fromkeys((path, path.resolve())):
            self.add(place)
        return [str(path.parent)]

    @property
    def binds(self) -> tuple[Bind, ...]:
        """The binds, outer places first so that they do not hide inner ones."""
        return tuple(
            Bind(source=place, target=str(place)) for place in sorted(self._places)
        )
