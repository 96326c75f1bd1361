"""The services of an agent's lifecycle, apart from proposals and approvals.

``wiring`` constructs them; the operator's calls go to them.
"""

from dataclasses import dataclass

from pyglue.host.changes.rebuild import RebuildAllHandler
from pyglue.host.changes.redeploy import Redeploy
from pyglue.host.life.destroy import Destroy
from pyglue.host.life.drafts import Drafts
from pyglue.host.life.kept import Kept


@dataclass(frozen=True, kw_only=True)
class Life:
    """The services for drafts, destroyed agents and kept state."""

    drafts: Drafts
    kept: Kept
    destroy: Destroy
    redeploy: Redeploy
    rebuilding: RebuildAllHandler
