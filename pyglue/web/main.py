"""``hive-web --config FILE``: the dashboard's process.

The arbiter keeps the listening sockets, and the worker's ``listener`` receives requests
from them. gunicorn runs the app in one worker with threads: each live stream occupies
one, so there are more threads than streams. On SIGTERM the worker ends its streams at
once, and the process exits within about two seconds. gunicorn's control socket is
disabled: it would be in the user's home.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker

from pyglue import config as hive_config
from pyglue import startup
from pyglue.config import HiveConfig, WebConfig, origin
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import DASHBOARD_HTTP
from pyglue.process import raise_open_files
from pyglue.program import daemon
from pyglue.program.log import RepeatFilter, log_to_stderr
from pyglue.web.app import create_app
from pyglue.web.guard import tls
from pyglue.web.guard.listener import Listener
from pyglue.web.guard.ports import AgentPorts
from pyglue.web.guard.request_head import RefusedError

THREADS: Final = 256
"""Streams occupy ``hub.STREAMS_MAX`` of them at most."""
_FIRST_FD: Final = 3
_GRACE_S: Final = 2
_DRAIN_S: Final = 1


class Worker(ThreadWorker):
    """gunicorn's threaded worker, which ends live streams first when it stops."""

    def init_process(self) -> None:
        """Finish requests for less time than the arbiter waits before it kills."""
        self.cfg.set("graceful_timeout", _DRAIN_S)
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then end at once.

        Browsers keep idle connections open, and the threads waiting on them would keep
        the process alive. There is nothing to save.
        """
        super().run()
        os._exit(0)

    def handle_error(
        self, _req: object, client: socket.socket, _addr: object, exc: BaseException
    ) -> None:
        """Answer requests that gunicorn refuses although the listener accepted them."""
        if isinstance(exc, ParseException):
            self.log.warning("Invalid request: %s", exc)
            status, sentence = HTTPStatus.BAD_REQUEST, "The request is malformed."
        else:
            self.log.error("A request failed", exc_info=exc)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            sentence = "The dashboard failed; see the log of hive-web."
        with contextlib.suppress(OSError):
            client.sendall(RefusedError(status, sentence).answer())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Use a thread on SIGTERM, because a signal handler must not take locks."""
        hub = self.wsgi.extensions["hyperhive"].hub
        threading.Thread(target=hub.close, daemon=True).start()
        super().handle_exit(sig, frame)


class _Log(Logger):
    """gunicorn's log, in which anybody can cause complaints by malformed requests."""

    def setup(self, cfg: Config) -> None:
        """Rate-limit repeated complaints."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.addFilter(RepeatFilter())


@dataclass(kw_only=True, eq=False)
class Server(BaseApplication):
    """gunicorn, configured only by our own configuration."""

    config: HiveConfig
    listening: Sequence[socket.socket]
    backend: Path
    number: int
    """The socket on which it listens, bound to ``backend``."""

    def __post_init__(self) -> None:
        """Load the configuration, as gunicorn's own constructor does."""
        super().__init__()

    def load_config(self) -> None:
        """Apply our settings to gunicorn."""
        for name, value in settings(self.number).items():
            if name in self.cfg.settings:  # older versions have fewer
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Create the app, in the worker."""
        app = create_app(self.config)
        known = app.extensions["hyperhive"].origins.knows
        thread = threading.Thread(
            target=self._serve, args=(known,), name="listener", daemon=True
        )
        thread.start()
        if self.config.web.agent_ports:
            AgentPorts(self.config).start()
        return app

    def _serve(self, is_ours: Callable[[str], bool]) -> None:
        """Serve until the process ends; without its listener a worker is useless."""
        web = self.config.web
        listener = Listener(
            limits=DASHBOARD_HTTP,
            backend=self.backend,
            tls=tls.load(web),
            proxies=web.trusted_proxies,
            is_ours=is_ours,
        )
        try:
            asyncio.run(listener.run(self.listening))
        finally:
            os._exit(1)


def listen(web: WebConfig) -> list[socket.socket]:
    """Return listening sockets for every address of the dashboard.

    Sockets passed by systemd are used as they are: with them, nobody else can take the
    port and receive sessions while hive-web restarts.

    Raises:
        HiveError: ``config_invalid`` for an address that cannot be used.
    """
    found = _inherited()
    if found:
        return found
    for host in origin.listens_on(web):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::"
        try:
            found.append(
                socket.create_server(
                    (host, web.port),
                    family=family,
                    backlog=DASHBOARD_HTTP.connections,
                    dualstack_ipv6=both,
                )
            )
        except OSError as error:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"The dashboard cannot listen on port {web.port} of {host}: "
                f"{os.strerror(error.errno or 0)}.",
            ) from error
    return found


def _inherited() -> list[socket.socket]:
    """Return the sockets from systemd's activation, which gunicorn must not see."""
    given = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if given[0] != str(os.getpid()) or not given[1].isdigit():
        return []
    numbers = range(_FIRST_FD, _FIRST_FD + int(given[1]))
    return [socket.socket(fileno=number) for number in numbers]


def bound(backend: Path) -> int:
    """Return a Unix socket for gunicorn, which would change the owner of its own."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(backend))
    return made.detach()


def settings(number: int) -> dict[str, Any]:
    """Return gunicorn's settings; ``number`` is its listening socket."""
    return {
        "bind": [f"fd://{number}"],
        "proc_name": "hive-web",
        "worker_class": Worker,
        "workers": 1,
        "threads": THREADS,
        "worker_connections": DASHBOARD_HTTP.connections,
        "timeout": 60,
        "graceful_timeout": _GRACE_S,
        # `proxy.TrustedProxies` decides whose proxy headers are trusted. gunicorn
        # trusts nobody; by default it would trust every peer on a Unix socket.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "secure_scheme_headers": {},
        "keepalive": 1,  # seconds; stopping waits for kept connections
        "control_socket_disable": True,
        # The listener refuses overlong lines; it does not count line ends.
        "limit_request_line": DASHBOARD_HTTP.line_bytes + 2,
        "limit_request_fields": DASHBOARD_HTTP.fields + 1,  # the listener adds one
        "limit_request_field_size": DASHBOARD_HTTP.field_bytes + 2,
        "errorlog": "-",
        "logger_class": _Log,
        "loglevel": "warning",
    }


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return daemon.parser("hive-web", "The dashboard of a hive.")


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; returns the exit status."""
    startup.done()
    asked = build_parser().parse_args(argv)
    log_to_stderr()
    try:
        raise_open_files()
        config = hive_config.load(asked.config)
        tls.load(config.web)
        create_app(config)  # fails now rather than in the worker
        listening = listen(config.web)
    except HiveError as error:
        print(f"hive-web: {error.message}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="hive-web-") as temporary:  # 0700
        backend = Path(temporary) / "gunicorn.sock"
        Server(
            config=config,
            listening=listening,
            backend=backend,
            number=bound(backend),
        ).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
