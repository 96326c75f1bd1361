"""A tiny chart of an agent's cost in the last 24 hours, for its row on the overview.

Each row has its own scale: the chart shows when costs occurred, the number beside it
how much.
"""

import functools
from typing import Final

from markupsafe import Markup

from pyglue.web.pages.formats import usd

_WIDTH: Final = 48
_HEIGHT: Final = 16
_SVG: Final = Markup(
    '<svg class="spark" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img">'
    '<title>{title}</title><path d="{path}"/></svg>'
)


@functools.lru_cache(maxsize=4096)
def sparkline(hours: tuple[float, ...], is_estimate: bool = False) -> Markup:
    """Return dollars by hour, oldest first, as an inline SVG; empty if there are none.

    ``is_estimate``: a subscription pays, and the amounts say so.
    """
    most = max(hours, default=0.0)
    if most <= 0:
        return Markup()
    about = "≈ " if is_estimate else ""
    whole, top = f"{about}{usd(sum(hours))}", f"{about}{usd(most)}"
    title = f"Last {len(hours)} hours: {whole}, at most {top} an hour"
    return _SVG.format(w=_WIDTH, h=_HEIGHT, title=title, path=_steps(hours, most))


def _steps(hours: tuple[float, ...], most: float) -> str:
    """Return the outline of all bars as one path; each cost is seen, however small."""
    wide, path, last = _WIDTH / len(hours), f"M0 {_HEIGHT}", _HEIGHT
    for place, cost in enumerate(hours):
        top = _HEIGHT - (max(1, round(_HEIGHT * cost / most)) if cost > 0 else 0)
        if top != last:
            path += f"H{wide * place:g}V{top}"
            last = top
    return f"{path}H{_WIDTH}V{_HEIGHT}Z"
