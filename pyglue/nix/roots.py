"""GC roots of derivations, which are kept until their proposal is decided.

A root is a link in the store's own ``gcroots``, named by the approval's number. The
backend keeps the built systems, because it knows which ones are in use.
"""

import contextlib
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.hoststore import HostStore, check_path

_PLACE = "nix/var/nix/gcroots/hyperhive"
_NEW = "new-"


class DerivationRoots:
    """The roots of one hive, identified by its state directory."""

    def __init__(self, store: HostStore, hive: str) -> None:
        self._place = store.root / _PLACE / hive

    def hold(self, drv: str) -> Path:
        """Keep ``drv`` under a name of its own, even before it is in the store.

        Raises:
            HiveError: ``unavailable`` if no root can be created.
        """
        root = self._place / f"{_NEW}{uuid.uuid4().hex}"
        target = check_path(drv)
        with self._written(root):
            self._place.mkdir(parents=True, exist_ok=True)
            root.symlink_to(target)
        return root

    def assign(self, root: Path, approval: int) -> None:
        """Assign a root to an approval.

        Raises:
            HiveError: ``unavailable`` if no root can be created.
        """
        with self._written(root):
            root.replace(self._place / str(approval))

    def drop(self, root: Path) -> None:
        """Remove a root; it is no error if there is none."""
        root.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _written(self, root: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"Cannot create {root}: {error.strerror}. Proposals must be protected "
                "from garbage collection: give hived write access there, then try "
                "again.",
            ) from error

    def sweep(self, keep: Collection[int]) -> None:
        """Remove the roots of all approvals except these."""
        with contextlib.suppress(FileNotFoundError):
            for root in self._place.iterdir():
                if root.name.isdecimal() and int(root.name) not in keep:
                    root.unlink(missing_ok=True)

    def clear_new(self) -> None:
        """At start, remove roots that a crash left without an approval."""
        with contextlib.suppress(FileNotFoundError):
            for root in self._place.glob(f"{_NEW}*"):
                root.unlink(missing_ok=True)
