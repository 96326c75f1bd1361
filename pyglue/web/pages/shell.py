"""The parts that make the dashboard an app: its service worker and the offline page.

The worker is served from ``/``, so that it may answer for every page. It contains the
list of files that it caches, which are the same for everybody: the offline page, its
stylesheet and the icons. Their hash is the name of its cache, so a new version fetches
them again. Neither address has a session: nothing of a hive gets into the cache.
"""

import hashlib
import json
from pathlib import Path
from typing import Final

from flask import Blueprint, Flask, Response, g, render_template, url_for

from pyglue.web.guard import auth

_FILES: Final = ("hive.css", "diff.css", "favicon.svg", "icon-192.png")
_OFFLINE: Final = "/offline"


def init(app: Flask, web: Path, version: str) -> None:
    """Serve the worker and the offline page; ``version`` is that of static files.

    Browsers ask for the worker at each page, so it is read once.
    """
    blueprint = Blueprint("shell", __name__)
    page = (web / "templates" / "offline.html").read_bytes()
    source = (web / "static" / "worker.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(page + version.encode()).hexdigest()[:16]

    @blueprint.get(auth.WORKER)
    def worker() -> Response:
        addresses = (url_for("static", filename=name) for name in _FILES)
        files = [_OFFLINE, *addresses]
        shell = {"version": digest, "files": files}
        text = f"const SHELL = {json.dumps(shell)};\n{source}"
        return Response(text, mimetype="text/javascript")

    @blueprint.get(_OFFLINE)
    def offline() -> str:
        g.session = None  # whatever cookie came along
        return render_template("offline.html")

    app.register_blueprint(blueprint)
