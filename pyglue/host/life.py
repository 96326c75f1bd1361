"""The parts that an agent's life is made of, beside proposals and approvals, as one.

``bootstrap`` puts them together; the operator's calls go to them.
"""

from dataclasses import dataclass

from pyglue.host.drafts import Drafts
from pyglue.host.ending import Ending
from pyglue.host.kept import Kept
from pyglue.host.rebuild import RebuildingAll
from pyglue.host.repeats import Repeats


@dataclass(frozen=True, kw_only=True)
class Life:
    """Before an agent runs, after it ran, and again."""

    drafts: Drafts
    kept: Kept
    ending: Ending
    repeats: Repeats
    rebuilding: RebuildingAll
