"""systemd's exposure scores of the host module's units, measured offline.

``systemd-analyze security --offline`` reads the unit files that ``units`` renders of a
case; nothing is installed and nothing runs. Used by the test of the goals, and by
``tools.generate_security`` for the table in docs/security.md.
"""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

from checks.nix.host import units

GOALS: Final = {
    "hived": 4.5,
    "hive-web": 1.5,
    "hive-relay": 2.0,
    "hive-egress": 2.0,
    "hive-notify": 2.0,
}
"""The highest score that each unit may have; 0 is the least exposed, 10 the most."""
_OVERALL: Final = re.compile(r"Overall exposure level for \S+: ([0-9.]+)")


def measure(name: str, unit: dict[str, Any], directory: Path) -> float:
    """Return the score of a rendered unit, which is written into ``directory``."""
    file = directory / f"{name}.service"
    file.write_text(units.service(unit))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = _OVERALL.search(done.stdout)
    assert found is not None, done.stdout
    return float(found[1])
