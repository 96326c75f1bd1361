"""Third-party libraries of the pages, served by the dashboard itself.

``npm ci`` (``.ci/setup``, or the Nix package) puts what ``web/package-lock.json``
pins into ``web/node_modules``. Only the files named below are ever served.
"""

from pathlib import Path
from typing import Final

from flask import Blueprint, Flask, send_from_directory
from werkzeug.wrappers import Response

from pyglue.errors import ErrorCode, HiveError

FILES: Final = {
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "xterm.mjs": "@xterm/xterm/lib/xterm.mjs",
    "xterm.css": "@xterm/xterm/css/xterm.css",
    "xterm-fit.mjs": "@xterm/addon-fit/lib/addon-fit.mjs",
}
_AGE_S: Final = 86400


def init(app: Flask, web: Path) -> None:
    """Serve the libraries of ``web/node_modules`` under ``/static/vendor/``."""
    blueprint = Blueprint("vendor", __name__)
    modules = web / "node_modules"

    @blueprint.get("/static/vendor/<name>")
    def vendor(name: str) -> Response:
        path = FILES.get(name)
        if path is None or not (modules / path).is_file():
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"{name[:40]!a} is not installed: run `npm ci` in the web/ directory "
                "of hyperhive.",
            )
        return send_from_directory(modules, path, max_age=_AGE_S)

    app.register_blueprint(blueprint)
