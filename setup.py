"""Puts what hyperhive reads beside its code into the wheel, as ``pyglue/share``.

With it come the libraries of its pages, of which ``npm ci`` installed the rest too. The
manual pages are installed to ``share/man`` as well.

A checkout and an editable install read the directories where they are.
"""

import json
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
SHARE = ("agents", "manual", "modules", "prompts", "web")
PAGES = sorted(Path("manual", "man").glob("*.[18]"))
MANUAL = [
    (f"share/man/man{section}", [str(p) for p in PAGES if p.suffix[1] == section])
    for section in "18"
]
"""The manual pages, also where man looks for them in an environment."""


def add_libraries(web: Path) -> None:
    """Copy the libraries of pages into the directory ``web`` of what is built.

    Raises:
        SystemExit: they are not installed.
    """
    modules = ROOT / "web" / "node_modules"
    for name in json.loads((ROOT / "web" / "libraries.json").read_text()).values():
        if not (modules / name).is_file():
            raise SystemExit(
                f"web/node_modules/{name} is missing: run "
                "`npm ci --ignore-scripts --omit=dev` in web/ first."
            )
        target = web / "node_modules" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(modules / name, target)


class SdistWithLibraries(sdist):
    """Adds the libraries to the files that MANIFEST.in names."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Lay out what the archive holds."""
        super().make_release_tree(base_dir, files)
        add_libraries(Path(base_dir, "web"))


class BuildWithShare(build_py):
    """Copies the directories beside the modules that were built."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        for name in SHARE:
            shutil.copytree(
                ROOT / name,
                Path(self.build_lib, "pyglue", "share", name),
                ignore=shutil.ignore_patterns("node_modules", "__pycache__"),
                dirs_exist_ok=True,
            )
        add_libraries(Path(self.build_lib, "pyglue", "share", "web"))


setup(
    cmdclass={"build_py": BuildWithShare, "sdist": SdistWithLibraries},
    data_files=MANUAL,
)
