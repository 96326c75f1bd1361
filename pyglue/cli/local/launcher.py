"""A whole local hive as children of one process.

Used by ``hive run`` (in the foreground) and ``hive demo``. Starts hived, hive-relay,
hive-egress and hive-web, and the scripted model when there is no API key. Started by
root, each part runs as a user of its own.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from pyglue.cli.local.claim import Claim, RunDirectory, claim
from pyglue.cli.local.configure import LocalOptions, Place, configure, group_of
from pyglue.cli.local.parts import Parts, Program
from pyglue.cli.local_ids import local_ids, model_user
from pyglue.config import HiveConfig, WebConfig, origin
from pyglue.demo.playbook import KEY_VARIABLE
from pyglue.errors import ErrorCode, HiveError
from pyglue.paths import Layout, share
from pyglue.process import RunAs

PARTS: Final = ("web", "relay", "egress")
"""What runs beside hived, and is started again when it exits."""


@dataclass
class LocalHive:
    """A running local hive."""

    hived: ClassVar[tuple[str, Mapping[str, str]]] = ("pyglue.host.main", {})
    """The module of hived, and additional environment variables."""
    parts: ClassVar[type[Parts]] = Parts

    options: LocalOptions
    say: Callable[[str], None]
    beside: tuple[str, ...] = PARTS
    """What runs beside hived."""
    config: HiveConfig = field(init=False)
    place: Place = field(init=False)
    _claim: Claim = field(default_factory=Claim, init=False)
    _temporary: RunDirectory | None = field(default=None, init=False)
    _parts: Parts = field(init=False)
    _model: socket.socket | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start everything; return when the dashboard answers.

        Raises:
            HiveError: a part did not start; with the end of its log.
        """
        state = self.options.state.resolve()
        share()
        self._claim = claim(state, hived_lock=Layout(state, state).lock)
        _free(self.options.port)
        self._temporary = RunDirectory.make()
        ids = local_ids(state) if os.geteuid() == 0 else None
        self.place = Place(state=state, temporary=self._temporary.path, ids=ids)
        self._parts = self.parts(
            state=state, temporary=self._temporary.path, say=self.say
        )
        key, upstream = self.options.api_key, self.options.upstream
        if key is None:
            key = secrets.token_urlsafe(32)
            upstream = await self._start_model(key)
        self.config = configure(self.options, self.place, upstream=upstream, key=key)
        self.place.let_pass(self.place.temporary)
        self.place.write(self.config)
        await asyncio.gather(
            self.start_hived(),
            *(self.keep(part) for part in self.beside),
        )
        if self.config.notify.is_on:
            await self.keep("notify")

    async def start_hived(self) -> None:
        """Start hived, and return when it is ready."""
        module, env = self.hived
        await self._parts.ready(self._daemon("hived", module, env=env))

    def take(self, config: HiveConfig) -> None:
        """Write a new configuration, which a part reads when it restarts."""
        self.config = config
        self.place.write(config)

    def pid(self, name: str) -> int:
        """Return the process ID of a part."""
        return self._parts.pid(name)

    async def stop(self) -> None:
        """Stop every part; those that agents need end after hived."""
        after = ("hive-relay", "hive-egress", "scripted-model")
        if self._temporary is not None:
            await self._parts.stop(("hive-notify", "hive-web"), ("hived",), after)
            self._temporary.remove()
            self._temporary = None
        if self._model is not None:
            self._model.close()
        self._claim.release()

    async def ended(self) -> str:
        """Return when hived exits, with a sentence that says how.

        Until then, every other part that exits is restarted.
        """
        return await self._parts.ended("hived")

    async def keep(self, part: str) -> None:
        """Start a part whose package, user and program have the same name."""
        ids = self.place.ids
        uid: int | None = None if ids is None else getattr(ids, part)
        program = self._daemon(f"hive-{part}", f"pyglue.{part}.main", uid=uid)
        await self._parts.keep(program.name, lambda: self._parts.ready(program))

    def _daemon(
        self,
        name: str,
        module: str,
        *,
        uid: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Program:
        ids = self.place.ids
        groups = () if ids is None else (group_of(ids),)
        return Program(
            name=name,
            module=module,
            argv=("--config", str(self.place.config_file)),
            env=env or {},
            run_as=None if uid is None else RunAs(uid, uid, groups),
        )

    async def _start_model(self, key: str) -> str:
        """Start the scripted model; return its address, possibly before it is up.

        It answers only clients with ``key``, and runs as a separate user that owns
        nothing. The socket is created here: early clients wait in its queue, so nothing
        else has to wait for the start, and a restarted model uses the same socket.
        """
        self._model = listening = socket.create_server(("127.0.0.1", 0))
        ids = self.place.ids
        uid = None if ids is None else model_user(ids)

        async def start() -> None:
            with self.options.script.open("rb") as script:
                inherited = (listening.fileno(), script.fileno())
                self._parts.run(
                    Program(
                        name="scripted-model",
                        module="pyglue.demo.scripted_model",
                        argv=(
                            *("--fd", str(inherited[0])),
                            *("--script-fd", str(inherited[1])),
                        ),
                        env={KEY_VARIABLE: key},
                        run_as=None if uid is None else RunAs(uid, uid),
                        pass_fds=inherited,
                    )
                )

        await self._parts.keep("scripted-model", start)
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def _free(port: int) -> None:
    """Check that the dashboard can listen, before anything is started."""
    for host in origin.listens_on(WebConfig(port=port)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"The dashboard cannot listen on port {port} of {host}: {reason}. "
                "Choose another port with --port or HIVE_PORT.",
            ) from error


def seconds_since(start: float) -> str:
    """Return a duration for people."""
    return f"{time.monotonic() - start:.1f} s"
