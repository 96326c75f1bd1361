"""The dashboard's secret host name, known only to the operator's browser.

It is stored in the state directory, so that bookmarks keep working; only hived's own
user can read it. Anyone who knows it could direct the operator's browser to another
port of the same name and receive the session there. So it appears in no log, no
argument and no page under another name.
"""

import logging
import os
from pathlib import Path

from pyglue.config import HiveConfig, origin

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
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as written:
        written.write(f"{name}\n")
    fresh.replace(file)
    return name
