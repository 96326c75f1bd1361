"""The result of ``hive doctor --repair --from-git``."""

from pyglue.api.common import Result


class Rebuilt(Result, frozen=True):
    """What is rebuilt and what is lost; ``aside``: the new paths of the old files."""

    agents: tuple[str, ...]
    kept: tuple[str, ...]
    drafts: tuple[str, ...]
    approvals: int
    lost: str
    notes: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
