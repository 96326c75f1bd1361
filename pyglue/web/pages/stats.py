"""``/api/stats``: figures of turns over time, as JSON for charts and scripts."""

import msgspec
from flask import Blueprint, Response, request

from pyglue import names
from pyglue.api.common import Method, Result
from pyglue.api.operator import STATS
from pyglue.api.telemetry import HIVE, StatsParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.rpc import hive

blueprint = Blueprint("stats", __name__)


class _Passed(Result, frozen=True):
    """A ``StatsResult`` whose many numbers go to the browser as hived wrote them."""

    since: float
    until: float
    step: int
    series: msgspec.Raw


_STATS = Method(STATS.name, StatsParams, _Passed)

_KEY_MAX = 200
_STEP_MAX = 31 * 86400


@blueprint.get("/api/stats")
def stats() -> Response:
    """Answer ``stats``; ``?since= &until= &step= &agent= &key=`` (may repeat)."""
    return answer(request.args.get("agent") or None)


def answer(agent: str | None) -> Response:
    """Answer ``stats`` for one agent, or for all.

    Raises:
        HiveError: ``bad_request``, ``invalid_name``.
    """
    keys = request.args.getlist("key")[:64]
    if any(len(key) > _KEY_MAX for key in keys):
        raise HiveError(ErrorCode.BAD_REQUEST, "There is no figure of that name.")
    step = _number("step")
    if step is not None and not 60 <= step <= _STEP_MAX:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"step is seconds, from 60 to {_STEP_MAX}."
        )
    params = StatsParams(
        since=_number("since"),
        until=_number("until"),
        step=None if step is None else int(step),
        agent=agent if agent in (None, HIVE) else names.check(agent),
        keys=tuple(keys),
    )
    result = hive().call(_STATS, params)
    return Response(msgspec.json.encode(result), content_type="application/json")


def _number(name: str) -> float | None:
    text = request.args.get(name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise HiveError(ErrorCode.BAD_REQUEST, f"{name} is a number.") from None
