"""The data of events as plain dictionaries, for tests."""

from typing import Any

import msgspec

from pyglue.api.events import Event
from pyglue.api.turns import TurnEventParams


def data(event: Event | TurnEventParams) -> dict[str, Any]:
    """Return an event's data, whatever its kind."""
    return msgspec.json.decode(event.data, type=dict[str, Any])


def raw(fields: object) -> msgspec.Raw:
    """Return data as it stands in an event."""
    return msgspec.Raw(msgspec.json.encode(fields))
