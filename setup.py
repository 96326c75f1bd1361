"""Puts what hyperhive reads beside its code into the wheel, as ``pyglue/share``.

The manual pages are installed to ``share/man`` too.

A checkout and an editable install read the directories where they are.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARE = ("agents", "manual", "modules", "prompts", "web")
PAGES = sorted(Path("manual", "man").glob("*.[18]"))
MANUAL = [
    (f"share/man/man{section}", [str(p) for p in PAGES if p.suffix[1] == section])
    for section in "18"
]
"""The manual pages, also where man looks for them in an environment."""


class BuildWithShare(build_py):
    """Copies the directories beside the modules that were built."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        for name in SHARE:
            shutil.copytree(
                Path(__file__).parent / name,
                Path(self.build_lib, "pyglue", "share", name),
                ignore=shutil.ignore_patterns("node_modules", "__pycache__"),
                dirs_exist_ok=True,
            )


setup(cmdclass={"build_py": BuildWithShare}, data_files=MANUAL)
