"""The demo's scenario as data: its agents, and the operator's messages.

``scenario.json`` beside this file also contains the script of the scripted model.
"""

from pathlib import Path
from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.errors import ErrorCode

PATH: Final = Path(__file__).with_name("scenario.json")


class Story(msgspec.Struct, frozen=True):
    """Its agents and the operator's messages."""

    agents: tuple[str, ...]
    asked: str
    request: str
    agent: str
    question: str


class _File(msgspec.Struct, frozen=True):
    story: Story


def load() -> Story:
    """Read the story.

    Raises:
        HiveError: ``config_invalid`` if the file is not right.
    """
    file = strict_json.read(
        PATH.read_bytes(), _File, what=PATH.name, code=ErrorCode.CONFIG_INVALID
    )
    return file.story
