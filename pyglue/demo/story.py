"""The demo's story as data: who is in it, and what the operator says.

``scenario.json`` beside this file also holds what the scripted model plays.
"""

from pathlib import Path
from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.errors import ErrorCode

PATH: Final = Path(__file__).with_name("scenario.json")


class Story(msgspec.Struct, frozen=True):
    """Who is in it and what the operator says."""

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
