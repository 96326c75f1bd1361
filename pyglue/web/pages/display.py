"""The display settings of this browser: colours and time zone.

Stored in a cookie, so that a page is right from its first paint and without scripts. It
does not reveal who is logged in. Unknown values count as the default.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from flask import Blueprint, request
from werkzeug.wrappers import Response as AnyResponse

from pyglue.errors import ErrorCode, HiveError
from pyglue.web.guard import cookies
from pyglue.web.pages.common import done, field

blueprint = Blueprint("display", __name__)

_KEPT_S: Final = 365 * 86400


class Theme(StrEnum):
    """The colours."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class Clock(StrEnum):
    """The zone of absolute times; the second is the browser's."""

    UTC = "utc"
    LOCAL = "local"


@dataclass(frozen=True)
class Display:
    """The chosen display settings."""

    theme: Theme = Theme.SYSTEM
    clock: Clock = Clock.UTC


def chosen() -> Display:
    """Return the settings in the request's cookie."""
    theme, _, clock = request.cookies.get(cookies.display_name(), "").partition(".")
    try:
        return Display(Theme(theme), Clock(clock))
    except ValueError:
        return Display()


@blueprint.post("/display")
def change() -> AnyResponse:
    """Store a setting in this browser.

    Raises:
        HiveError: ``bad_request`` for an unknown value.
    """
    try:
        theme, clock = Theme(field("theme", limit=10)), Clock(field("clock", limit=10))
    except ValueError as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"Choose a theme ({', '.join(Theme)}) and a clock ({', '.join(Clock)}).",
        ) from error
    response = done("Display settings saved in this browser.")
    cookies.set_display(response, f"{theme}.{clock}", _KEPT_S)
    return response
