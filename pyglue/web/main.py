"""``hive-web --config FILE``: the dashboard's process.

The arbiter holds the listening sockets, and the worker's ``listener`` receives requests
from them. gunicorn runs the app in one worker with threads: live streams each hold
one, so there are more threads than streams. On SIGTERM the worker ends its streams at
once, and the process is gone within about two seconds. gunicorn's control socket stays
off: it would lie in the user's home.
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

from pyglue import __version__, origin
from pyglue import config as hive_config
from pyglue.config import HiveConfig, WebConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import DASHBOARD_HTTP
from pyglue.process import raise_open_files
from pyglue.seldom import Seldom, log_to_stderr
from pyglue.web.app import create_app
from pyglue.web.guard import tls
from pyglue.web.guard.listener import Listener
from pyglue.web.guard.ports import AgentPorts
from pyglue.web.guard.request_head import RefusedError

THREADS: Final = 256
"""Of which ``hub.STREAMS_MAX`` may be held by streams."""
_FIRST_FD: Final = 3
_GRACE_S: Final = 2
_DRAIN_S: Final = 1


class Worker(ThreadWorker):
    """gunicorn's threaded worker; a stop ends the live streams first."""

    def init_process(self) -> None:
        """Drain for a shorter time than the arbiter waits before it kills."""
        self.cfg.set("graceful_timeout", _DRAIN_S)
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then end at once.

        Browsers hold connections open on which they ask nothing; the threads that
        wait on those would keep the process. There is nothing to save.
        """
        super().run()
        os._exit(0)

    def handle_error(
        self, _req: object, client: socket.socket, _addr: object, exc: BaseException
    ) -> None:
        """Answer what gunicorn refuses, though the listener let it pass."""
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
        """On SIGTERM: a thread, because a signal handler may take no lock."""
        hub = self.wsgi.extensions["hyperhive"].hub
        threading.Thread(target=hub.close, daemon=True).start()
        super().handle_exit(sig, frame)


class _Log(Logger):
    """gunicorn's log, which anybody may make complain by a malformed request."""

    def setup(self, cfg: Config) -> None:
        """Say the same complaint seldom."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.addFilter(Seldom())


class Server(BaseApplication):
    """gunicorn, set up from our own config and from nothing else."""

    def __init__(
        self,
        config: HiveConfig,
        listening: Sequence[socket.socket],
        backend: Path,
        number: int,
    ) -> None:
        self._config = config
        self._listening = listening
        self._backend = backend
        self._number = number
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings."""
        for name, value in settings(self._number).items():
            if name in self.cfg.settings:  # older versions have fewer
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the app, in the worker."""
        app = create_app(self._config)
        known = app.extensions["hyperhive"].origins.knows
        door = threading.Thread(
            target=self._open_door, args=(known,), name="door", daemon=True
        )
        door.start()
        if self._config.web.agent_ports:
            AgentPorts(self._config).start()
        return app

    def _open_door(self, is_ours: Callable[[str], bool]) -> None:
        """Serve until the process ends; without its door a worker is of no use."""
        web = self._config.web
        door = Listener(
            DASHBOARD_HTTP,
            self._backend,
            tls=tls.load(web),
            proxies=web.trusted_proxies,
            is_ours=is_ours,
        )
        try:
            asyncio.run(door.run(self._listening))
        finally:
            os._exit(1)


def listen(web: WebConfig) -> list[socket.socket]:
    """Return listening sockets for every address that the dashboard needs.

    Those that systemd holds for us are used as they are: with them nobody else can take
    the port, and be sent sessions, while hive-web restarts.

    Raises:
        HiveError: ``config_invalid`` for one that cannot be had.
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
    """Return what systemd's socket activation passed on; gunicorn must not see it."""
    given = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if given[0] != str(os.getpid()) or not given[1].isdigit():
        return []
    numbers = range(_FIRST_FD, _FIRST_FD + int(given[1]))
    return [socket.socket(fileno=number) for number in numbers]


def bound(backend: Path) -> int:
    """Return a Unix socket for gunicorn; it would change the owner of its own."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(backend))
    return made.detach()


def settings(number: int) -> dict[str, Any]:
    """Return gunicorn's settings; ``number`` is the socket that it listens on."""
    return {
        "bind": [f"fd://{number}"],
        "proc_name": "hive-web",
        "worker_class": Worker,
        "workers": 1,
        "threads": THREADS,
        "worker_connections": DASHBOARD_HTTP.connections,
        "timeout": 60,
        "graceful_timeout": _GRACE_S,
        # Whom the headers of proxies are believed from: `proxy.TrustedProxies` decides,
        # and gunicorn believes nobody. It would believe whoever uses a Unix socket.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "secure_scheme_headers": {},
        "keepalive": 1,  # seconds; a stop waits for kept connections
        "control_socket_disable": True,
        # What is too long is refused by the listener, which counts no line ends.
        "limit_request_line": DASHBOARD_HTTP.line_bytes + 2,
        "limit_request_fields": DASHBOARD_HTTP.fields + 1,  # one is the listener's
        "limit_request_field_size": DASHBOARD_HTTP.field_bytes + 2,
        "errorlog": "-",
        "logger_class": _Log,
        "loglevel": "warning",
    }


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="hive-web", description="The dashboard of a hive."
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="configuration file (JSON)"
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; returns the exit status."""
    asked = build_parser().parse_args(argv)
    log_to_stderr()
    try:
        raise_open_files()
        config = hive_config.load(asked.config)
        tls.load(config.web)
        create_app(config)  # says now what would be wrong in the worker
        listening = listen(config.web)
    except HiveError as error:
        print(f"hive-web: {error.message}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="hive-web-") as room:  # 0700
        backend = Path(room) / "gunicorn.sock"
        Server(config, listening, backend, bound(backend)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
