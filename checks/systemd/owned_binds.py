"""Stands in for nspawn's ``owneridmap`` (systemd 254), on the test host.

``hive-owned-binds INSTANCE`` waits for the container's init, which goes on when all is
mounted. As nspawn does: what
belongs to the owner of a bound directory belongs, in the container, to the owner of the
place that it is bound at, and everything else to nobody.
"""

import os
import subprocess
import sys
from pathlib import Path

from pyglue.sandbox import admit

ROOTS = Path("/var/lib/nixos-containers")
BINDS = Path("/run/hive-owned-binds")


def main(instance: str) -> None:
    """Make the mounts in the container that starts."""
    go = os.open(ROOTS / instance / "work/.go", os.O_WRONLY)  # when init reads it
    shown = subprocess.run(
        ["machinectl", "show", instance, "--property=Leader", "--value"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    leader = shown.stdout.strip()
    first = int(Path(f"/proc/{leader}/uid_map").read_text().split()[1])
    plan = []
    for line in (BINDS / instance).read_text().splitlines():
        flag, source, target = line.split()
        owner = Path(source).stat().st_uid
        inside = first + Path(f"{ROOTS / instance}{target}").stat().st_uid
        users = admit._user_namespace((owner, owner), (inside, inside))
        plan.append((Path(target), users, flag == "--bind"))
    mounts = os.open(f"/proc/{leader}/ns/mnt", os.O_RDONLY)
    admit._check(admit._libc.setns(mounts, admit._CLONE_NEWNS))
    for place, users, writable in plan:
        os.chdir(place.parent)
        admit.show_as(place.name, users, writable=writable)
    os.write(go, b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
