"""The parts that an agent's life is made of, beside proposals and approvals, as one.

``bootstrap`` puts them together; the operator's calls go to them.
"""

from dataclasses import dataclass

from pyglue.host.changes.rebuild import RebuildAllHandler
from pyglue.host.changes.redeploy import Redeploy
from pyglue.host.life.destroy import Destroy
from pyglue.host.life.drafts import Drafts
from pyglue.host.life.kept import Kept


@dataclass(frozen=True, kw_only=True)
class Life:
    """Before an agent runs, after it ran, and again."""

    drafts: Drafts
    kept: Kept
    destroy: Destroy
    redeploy: Redeploy
    rebuilding: RebuildAllHandler
