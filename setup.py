"""Puts what hyperhive reads beside its code into the wheel, as ``pyglue/share``.

A checkout and an editable install read the directories where they are.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARE = ("agents", "modules", "prompts", "web")


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


setup(cmdclass={"build_py": BuildWithShare})
