"""The current page of a name: of an agent, of a draft, or of kept state.

A link to a name may be rendered long before it is followed: in messages, in approvals,
in bookmarks. By then the agent may be destroyed, or the draft deployed. A page that is
gone redirects to the name's current one; for a name without one, the error page
(``error.html``) links to its approvals and messages, which stay.
"""

from collections.abc import Callable, Iterator
from typing import Final

from flask import redirect, request
from werkzeug.wrappers import Response

from pyglue.api.common import NoParams
from pyglue.api.operator import AGENTS, DRAFTS, KEPT
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.rpc import hive


def or_moved(name: str, show: Callable[[], str]) -> str | Response:
    """Return the result of ``show``, or redirect to the current page of ``name``.

    Raises:
        HiveError: what ``show`` raised, when the name has no other page.
    """
    try:
        return show()
    except HiveError as error:
        if error.code is ErrorCode.NOT_FOUND:
            for path in _pages(name):
                if path != request.path:
                    return redirect(path)
        raise


def _pages(name: str) -> Iterator[str]:
    for place, read in _PLACES.items():
        if name in read():
            yield f"/{place}/{name}"


def _agents() -> frozenset[str]:
    return frozenset(one.name for one in hive().call(AGENTS, NoParams()).agents)


def _kept() -> frozenset[str]:
    return frozenset(one.name for one in hive().call(KEPT, NoParams()).kept)


def _drafts() -> frozenset[str]:
    return frozenset(one.name for one in hive().call(DRAFTS, NoParams()).drafts)


_PLACES: Final = {"agents": _agents, "kept": _kept, "drafts": _drafts}
