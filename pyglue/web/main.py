"""``hive-web --config FILE``: the dashboard's process.

gunicorn runs the app in one worker with threads: live streams each hold one, so
there are more threads than streams. On SIGTERM the worker ends its streams at once,
and the process is gone within about two seconds. gunicorn's control socket stays
off: it would lie in the user's home.
"""

import argparse
import logging
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from pyglue import config as hive_config
from pyglue import origin
from pyglue.config import HiveConfig, WebConfig
from pyglue.errors import HiveError
from pyglue.process import raise_open_files
from pyglue.web import tls
from pyglue.web.app import create_app
from pyglue.web.ports import AgentPorts

THREADS: Final = 256
"""Of which ``live.STREAMS_MAX`` may be held by streams."""
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

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM: a thread, because a signal handler may take no lock."""
        hub = self.wsgi.extensions["hyperhive"].hub
        threading.Thread(target=hub.close, daemon=True).start()
        super().handle_exit(sig, frame)


class Server(BaseApplication):
    """gunicorn, set up from our own config and from nothing else."""

    def __init__(self, config: HiveConfig) -> None:
        self._config = config
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings."""
        for name, value in settings(self._config.web).items():
            if name in self.cfg.settings:  # older versions have fewer
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the app, in the worker."""
        app = create_app(self._config)
        if self._config.web.agent_ports:
            AgentPorts(self._config).start()
        return app


def settings(web: WebConfig) -> dict[str, Any]:
    """Return gunicorn's settings."""
    hosts = [f"[{one}]" if ":" in one else one for one in origin.listens_on(web)]
    return {
        "bind": [f"{host}:{web.port}" for host in hosts],
        "proc_name": "hive-web",
        "worker_class": Worker,
        "workers": 1,
        "threads": THREADS,
        "worker_connections": 4 * THREADS,
        "timeout": 60,
        "graceful_timeout": _GRACE_S,
        # Whom the headers of proxies are believed from: `proxy.TrustedProxies` decides,
        # and gunicorn believes nobody (its default is whoever calls from loopback).
        "forwarded_allow_ips": "",
        **tls.settings(web),
        "keepalive": 1,  # seconds; a stop waits for kept connections
        "control_socket_disable": True,
        "limit_request_line": 4094,
        "limit_request_fields": 60,
        "limit_request_field_size": 8190,
        "errorlog": "-",
        "loglevel": "warning",
    }


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="hive-web", description="The dashboard of a hive."
    )
    parser.add_argument("--config", type=Path, required=True, help="JSON config file")
    asked = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    raise_open_files()
    try:
        config = hive_config.load(asked.config)
        tls.check(config.web)
        create_app(config)  # says now what would be wrong in the worker
    except HiveError as error:
        print(f"hive-web: {error.message}", file=sys.stderr)
        return 1
    Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
