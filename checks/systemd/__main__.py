"""``python -m checks.systemd [PROGRAM …]``: boot a test host, run a shell in it."""

import subprocess
import sys

from checks.systemd.machine import booted, why_not
from checks.systemd.tree import disk, tree


def main() -> None:
    """Boot, run, stop; the exit status is the program's."""
    missing = why_not()
    if missing is not None:
        sys.exit(f"checks.systemd: {missing}")
    made = tree(lambda text: print(text, file=sys.stderr))
    with (
        disk() as room,
        booted(made, room, "hive-shell") as machine,
    ):
        argv = sys.argv[1:] or ["/bin/bash", "--login"]
        enter = ("nsenter", "-t", str(machine.leader), "-a", "--")
        code = subprocess.run((*enter, *argv), check=False).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
