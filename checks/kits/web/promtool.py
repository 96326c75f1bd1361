"""``promtool``, the judge of ``/metrics``; the set-up puts it into .venv."""

import shutil
import subprocess
import sys
from pathlib import Path

from checks.kits.patience import PATIENCE_S


def promtool() -> str | None:
    """Return where it is."""
    own = Path(sys.prefix) / "bin" / "promtool"
    return str(own) if own.exists() else shutil.which("promtool")


def complaints(text: str) -> str:
    """Return what promtool says against metrics; nothing if they are as they should."""
    program = promtool()
    assert program is not None
    found = subprocess.run(
        [program, "check", "metrics"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    said = found.stdout + found.stderr
    return said if said or found.returncode == 0 else f"exit code {found.returncode}"
