"""Programs start without collecting garbage, and collect it when they have started."""

import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from checks.kits.suite.sources import SOURCES, place
from pyglue import startup

_IMPORTS = re.compile(r"^from pyglue import .*\bstartup\b", re.MULTILINE)
PROGRAMS = [path for path in SOURCES if _IMPORTS.search(path.read_text())]
_LOOK = """
import gc
from pyglue import startup
before = gc.isenabled(), gc.get_freeze_count()
startup.done()
frozen = gc.get_freeze_count()
startup.done()
print(before, gc.isenabled(), frozen > 1000, frozen == gc.get_freeze_count())
"""


def test_a_program_collects_from_its_start_on() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", _LOOK],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[0] == "(False, 0) True True True"


def test_who_only_imports_a_program_goes_on_collecting() -> None:
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    startup.done()
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, frozen)


@pytest.mark.parametrize("path", PROGRAMS, ids=place)
def test_each_program_says_when_it_has_started(path: Path) -> None:
    assert "    startup.done()\n" in path.read_text(), "it never collects garbage"


def test_every_daemon_starts_so() -> None:
    daemons = {f"{name}/main.py" for name in ("host", "web", "relay", "egress")}
    assert daemons <= {place(path) for path in PROGRAMS}
