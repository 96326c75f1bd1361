"""What ``hive run --settings FILE`` reads: settings of a hive without NixOS."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError
from pyglue.model_config import ModelConfig, catalogue_of

_MAX: Final = 1024 * 1024


class LocalSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields of the daemons' configuration file that a file may set."""

    models: dict[str, ModelConfig] = {}


def read(file: Path | None) -> LocalSettings:
    """Return the settings; the defaults if there is no file.

    Raises:
        HiveError: ``config_invalid`` with the field that is wrong.
    """
    if file is None:
        return LocalSettings()
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX + 1)
    except OSError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID, f"Cannot read {file}: {error.strerror}."
        ) from error
    if len(data) > _MAX:
        raise HiveError(ErrorCode.CONFIG_INVALID, f"{file} is longer than 1 MiB.")
    found = strict_json.read(
        data,
        LocalSettings,
        what=f"settings file {file}",
        code=ErrorCode.CONFIG_INVALID,
        unique=True,
    )
    catalogue_of(found.models)
    return found
