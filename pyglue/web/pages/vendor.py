"""Third-party libraries of the pages, served by the dashboard itself.

``npm ci`` puts what ``web/package-lock.json`` pins into ``web/node_modules``:
``.ci/setup`` runs it in a checkout, ``package.nix`` for NixOS; a wheel has the files.
Only those that ``web/libraries.json`` names are installed and served.
"""

from pathlib import Path
from typing import Final

from flask import Blueprint, Flask, send_from_directory
from werkzeug.wrappers import Response

from pyglue import strict_json
from pyglue.errors import ErrorCode, HiveError

_AGE_S: Final = 86400
_KINDS: Final = {".woff2": "font/woff2", ".txt": "text/plain"}
"""Media types that Python does not know, or cannot derive from the file's name."""


def libraries(web: Path) -> dict[str, str]:
    """Return the files that are served by name, below ``node_modules``."""
    return strict_json.read((web / "libraries.json").read_bytes(), dict[str, str])


def init(app: Flask, web: Path) -> None:
    """Serve the libraries of ``web/node_modules`` under ``/static/vendor/``."""
    blueprint = Blueprint("vendor", __name__)
    modules, files = web / "node_modules", libraries(web)

    @blueprint.get("/static/vendor/<name>")
    def vendor(name: str) -> Response:
        path = files.get(name)
        if path is None or not (modules / path).is_file():
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"{name[:40]!a} is not installed: run `npm ci` in the web/ directory "
                "of hyperhive.",
            )
        kind = _KINDS.get(Path(name).suffix)
        return send_from_directory(modules, path, max_age=_AGE_S, mimetype=kind)

    app.register_blueprint(blueprint)
