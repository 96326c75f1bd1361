"""The Flask app of hive-web: an unprivileged, stateless view of hived.

``create_app`` is called by ``main`` in the server's single worker, and by tests. Every
page and form uses hived's operator socket; hived decides what is allowed. This module
only assembles the parts: guard, views, template environment, errors.
"""

import time
from pathlib import Path
from typing import Final

from flask import Flask, g
from jinja2 import StrictUndefined

from pyglue import paths
from pyglue.api.logins import session_name
from pyglue.config import HiveConfig
from pyglue.limits import DASHBOARD_HTTP, SESSION_S
from pyglue.text import file_names
from pyglue.web import errors, gzip, hooks, rpc, static_files
from pyglue.web.guard import auth, cookies
from pyglue.web.guard.origins import Origins
from pyglue.web.guard.proxy import TrustedProxies
from pyglue.web.json import table
from pyglue.web.live import stream, terminal
from pyglue.web.live.hub import Hub
from pyglue.web.pages import (
    activity,
    agents,
    approvals,
    bulk,
    command,
    display,
    explain,
    files,
    formats,
    inbox,
    life,
    login,
    messages,
    notifications,
    overview,
    queue,
    shell,
    vendor,
    versions,
    waiting,
)
from pyglue.web.pages.agent_filter import resumable
from pyglue.web.pages.budget import budget
from pyglue.web.pages.markdown import markdown
from pyglue.web.pages.places import PLACES
from pyglue.web.pages.sparkline import sparkline
from pyglue.web.pages.text import clip, finalize, is_clipped

_PAGES: Final = (
    login,
    display,
    files,
    activity,  # before the overview, whose fragments have any name
    waiting,
    overview,
    inbox,
    messages,
    notifications,
    explain,
    approvals,
    agents,
    command,
    bulk,
    queue,
    life,
    versions,
    hooks,
)


def create_app(config: HiveConfig, *, share: Path | None = None) -> Flask:
    """Return the app for ``config``; ``share`` contains ``web/``.

    Raises:
        HiveError: ``config_invalid`` if the templates are not found.
    """
    web = (share or paths.share()) / "web"
    app = Flask(
        "pyglue.web",
        template_folder=str(web / "templates"),
        static_folder=str(web / "static"),
    )
    app.config["MAX_CONTENT_LENGTH"] = DASHBOARD_HTTP.body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = DASHBOARD_HTTP.body_bytes
    app.config["MAX_FORM_PARTS"] = 100
    socket = config.layout.operator_socket
    known = rpc.Web(
        config=config.web,
        socket=socket,
        hub=Hub(socket),
        origins=Origins(config.web, socket),
        models=config.catalogue.aliases,
    )
    app.extensions["hyperhive"] = known
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
        app.wsgi_app,
        config.web.trusted_proxies,
        https=config.web.tls_cert is not None,
    )
    app.before_request(auth.guard)
    app.after_request(auth.after)
    gzip.init(app)
    app.teardown_request(rpc.close_link)
    errors.init(app)
    _templates(app)
    for module in _PAGES:
        app.register_blueprint(module.blueprint)
    table.init(app)
    stream.init(app, known.hub)
    terminal.init(app)
    _files(app, web)
    return app


def _files(app: Flask, web: Path) -> None:
    version = static_files.init(app, web / "static")
    vendor.init(app, web)
    shell.init(app, web, version)


def _templates(app: Flask) -> None:
    env = app.jinja_env
    env.finalize = finalize
    env.undefined = StrictUndefined
    env.trim_blocks = True
    env.lstrip_blocks = True
    env.globals.update(
        now=time.time, waiting_now=waiting.now, budget=budget, places=PLACES
    )
    env.filters.update(
        clip=clip,
        when=formats.when,
        seconds=formats.seconds,
        lasting=formats.lasting,
        who=_who,
        linked=formats.linked,
        coded=formats.coded,
        markdown=markdown,
        badge=formats.badge,
        clock=formats.clock,
        hour=formats.hour,
        sparkline=sparkline,
        usd=formats.usd,
        sha=formats.short_sha,
        words=formats.words,
        pretty=formats.pretty_json,
        clipped=is_clipped,
        file_name=file_names.shown,
        resumable=resumable,
    )
    app.context_processor(_context)


def _who(text: str) -> str:
    session = g.get("session")
    run = rpc.web().config.run
    return formats.who(text, session_name(run, session) if session else None)


def _context() -> dict[str, object]:
    session = g.get("session")
    return {
        "csrf": auth.csrf_token(session, g.origin) if session else "",
        "flash": cookies.take_flash,
        "logged_in": session is not None,
        "display": display.chosen(),
        "trusted_days": rpc.web().config.trusted_days,
        "session_hours": round(SESSION_S / 3600),
    }
