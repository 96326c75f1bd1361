"""The dashboard's secret host name, known only to the operator's browser.

It is stored in the state directory, so that bookmarks keep working; only hived's own
user can read it. Anyone who knows it could direct the operator's browser to another
port of the same name and receive the session there. So it appears in no log, no
argument and no page under another name.
"""

import logging
from pathlib import Path

from pyglue.config import HiveConfig, origin
from pyglue.files.replace import replace_file

_log = logging.getLogger(__name__)


def dashboard(config: HiveConfig) -> str:
    """Return the dashboard's origin; the first call generates its name. Blocks.

    Raises:
        OSError: the name cannot be stored.
    """
    known = origin.configured(config.web)
    if known is not None:
        return known
    file = config.layout.dashboard_name
    return origin.named(_read(file) or _make(file), config.web.port)


def _read(file: Path) -> str | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except ValueError:
        text = ""
    if origin.is_name(text):
        return text
    _log.warning("%s contains no valid dashboard name; creating a new one", file)
    return None


def _make(file: Path) -> str:
    name = origin.new_name()
    replace_file(file, f"{name}\n".encode("ascii"))
    return name
