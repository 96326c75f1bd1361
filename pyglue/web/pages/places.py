"""The pages that links, the command palette and keys lead to, by name.

Templates list them: ``fragments/nav.html`` in the header, ``base.html`` with their
keys, where ``palette.js`` reads them.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Place:
    """A page with a name. Its icon in the header has that name in lower case."""

    path: str
    name: str
    key: str
    """The key that opens it, after ``g``."""
    in_header: bool = False
    tabs: tuple[str, ...] = ()
    """Paths of its sibling pages, which have tabs and no link in the header."""

    def includes(self, path: str) -> bool:
        """Return whether a page is this one, below it, or one of its tabs."""
        below = self.path != "/" and path.startswith(self.path)
        return below or path == self.path or path in self.tabs


PLACES: Final = (
    Place(path="/", name="Overview", key="o", in_header=True),
    Place(path="/approvals", name="Approvals", key="a", in_header=True),
    Place(path="/inbox", name="Inbox", key="i"),
    Place(path="/messages", name="Messages", key="m", in_header=True, tabs=("/inbox",)),
    Place(
        path="/activity",
        name="Activity",
        key="v",
        in_header=True,
        tabs=("/operations", "/doctor", "/log"),
    ),
    Place(path="/operations", name="Operations", key="p"),
    Place(path="/doctor", name="Doctor", key="d"),
    Place(path="/charts", name="Metrics", key="c", in_header=True),
    Place(path="/notifications", name="Notifications", key="n"),
)
