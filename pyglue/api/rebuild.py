"""What ``hive doctor --repair --from-git`` makes of a state directory."""

from pyglue.api.common import Result


class Rebuilt(Result, frozen=True):
    """What is rebuilt and what is lost; ``aside``: where the old files are now."""

    agents: tuple[str, ...]
    kept: tuple[str, ...]
    drafts: tuple[str, ...]
    approvals: int
    lost: str
    notes: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
