"""A whole local hive as children of one process.

Used by ``hive run`` (in the foreground) and ``hive demo``. Starts hived, hive-relay,
hive-egress and hive-web, and the scripted model when there is no API key; each but
hived is started again when it dies. Parts that depend on another wait for its readiness
message (sd_notify), never for time to pass. Started by root, each part runs as a user
of its own. When this process exits, so do they.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pyglue import origin
from pyglue.cli.local.claim import Claim, Room, claim
from pyglue.cli.local.ready import Readiness
from pyglue.cli.local.settings import LocalAccounts, LocalSettings
from pyglue.cli.local_ids import local_ids, model_user
from pyglue.cli.output.anchors import ANCHOR_LINE
from pyglue.config import (
    ANTHROPIC,
    Account,
    AgentDefaults,
    Credential,
    DeclaredAgent,
    DiskConfig,
    EgressConfig,
    HiveConfig,
    Ids,
    MessageLimits,
    NotifyConfig,
    Quotas,
    RelayConfig,
    Timeouts,
    WarmConfig,
    WebConfig,
    dump,
)
from pyglue.demo.playbook import KEY_VARIABLE
from pyglue.errors import ErrorCode, HiveError
from pyglue.paths import Layout, share
from pyglue.process import Child, LogFile, RunAs, describe_exit
from pyglue.sandbox import own_places, reach

_DIE_WITH_US: Final = ("setpriv", "--pdeathsig", "TERM", "--")
"""Even when this process is killed, no part of the hive is left behind."""
_MEMORY_DEFAULT: Final = "4G"
"""For an agent that sets none: one agent cannot take all of this computer's memory."""
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_READY_S: Final = 60.0
_AGAIN_S: Final = 0.5
"""Before a part is started again; twice as long each time, up to the most."""
_AGAIN_MAX_S: Final = 60.0
_WELL_S: Final = 60.0
"""A part that ran for so long did not fail at its start."""
_STOP_S: Final = 8.0
_KEPT_ENV: Final = (
    "PATH",
    "LANG",
    "TZ",
    "HIVE_SHARE",
    "HIVE_UNSAFE_NO_SANDBOX",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "NO_PROXY",
)


@dataclass(frozen=True, kw_only=True)
class LocalOptions:
    """The options of ``hive run``. ``script`` is what the scripted model plays.

    ``api_key`` is the key or token of the kind ``credential``; None: that model.
    """

    state: Path
    port: int
    api_key: str | None
    credential: Credential = Credential.API_KEY
    script: Path
    agents: tuple[str, ...]
    upstream: str = ANTHROPIC
    egress: EgressConfig = field(default_factory=EgressConfig)
    notify_urls: str | None = None
    """Text of the file with notification URLs; None: there are no notifications."""
    settings: LocalSettings = field(default_factory=LocalSettings)
    accounts: LocalAccounts = field(default_factory=LocalAccounts)
    """Its default one is ``api_key``, unless that is None."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    messages: MessageLimits = field(default_factory=MessageLimits)
    disk: DiskConfig = field(default_factory=DiskConfig)
    quotas: Quotas = field(default_factory=Quotas)
    warm: WarmConfig = field(default_factory=WarmConfig)


@dataclass
class LocalHive:
    """A running local hive."""

    options: LocalOptions
    say: Callable[[str], None]
    config: HiveConfig = field(init=False)
    _children: dict[str, Child] = field(default_factory=dict)
    _logs: dict[str, LogFile] = field(default_factory=dict)
    _restart: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    _claim: Claim = field(default_factory=Claim)
    _kept_room: Room | None = None
    _room: Path = field(init=False)
    _model: socket.socket | None = None

    async def start(self) -> None:
        """Start everything; return when the dashboard answers.

        Raises:
            HiveError: a part did not start; with the end of its log.
        """
        state = self.options.state.resolve()
        share()
        self._claim = claim(state, hived_lock=Layout(state, state).lock)
        _free(self.options.port)
        self._kept_room = Room.make()
        self._room = self._kept_room.path
        ids = local_ids(state) if os.geteuid() == 0 else None
        key, upstream = self.options.api_key, self.options.upstream
        if key is None:
            key = secrets.token_urlsafe(32)
            upstream = self._start_model(key, ids)
            await self._restart["scripted-model"]()
        self.config = self._configure(state, upstream, key, ids)
        self._let_pass(self._room, ids)
        self.write_config(self.config)
        hived = self.start_hived()
        self._restart["hive-web"] = lambda: self._spawn(
            "hive-web", "pyglue.web.main", uid=ids.web if ids else None
        )
        self._restart["hive-relay"] = lambda: self._spawn(
            "hive-relay", "pyglue.relay.main", uid=ids.relay if ids else None
        )
        self._restart["hive-egress"] = lambda: self._spawn(
            "hive-egress", "pyglue.egress.main", uid=ids.egress if ids else None
        )
        daemons = ("hive-web", "hive-relay", "hive-egress")
        await asyncio.gather(hived, *(self._restart[name]() for name in daemons))
        if self.config.notify.url_file is not None:
            self._restart["hive-notify"] = lambda: self._spawn(
                "hive-notify", "pyglue.notify.main", uid=ids.notify if ids else None
            )
            await self._restart["hive-notify"]()

    @property
    def _config_file(self) -> Path:
        return self._room / "config.json"

    def write_config(self, config: HiveConfig) -> None:
        """Write the config file, readable only by the hive's own users."""
        fresh = self._room / ".config.json.new"
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, _NEW, 0o600), "wb") as file:
            file.write(dump(config))
        if config.ids is not None:
            os.chown(fresh, 0, _group(config.ids))
            fresh.chmod(0o640)
        fresh.replace(self._config_file)

    @staticmethod
    def _let_pass(directory: Path, ids: Ids | None) -> None:
        """Let the hive's own users pass through, and nobody else."""
        if ids is not None:
            os.chown(directory, 0, _group(ids))
            directory.chmod(0o710)

    def start_hived(self) -> asyncio.Task[None]:
        """Start hived; the task ends when it is ready."""
        return self._spawn("hived", "pyglue.host.main")

    def pid(self, name: str) -> int:
        """Return the process id of a child."""
        return self._children[name].pid

    async def stop(self) -> None:
        """Stop every child, hived last so that messages are queued again in order."""
        daemons = ("hive-notify", "hive-web", "hived", "hive-relay", "hive-egress")
        for name in (*daemons, "scripted-model"):
            child = self._children.pop(name, None)
            if child is not None:
                await child.terminate(_STOP_S)
        for log in self._logs.values():
            log.close()
        if self._model is not None:
            self._model.close()
        if self._kept_room is not None:
            self._kept_room.remove()
            self._kept_room = None
        self._claim.release()

    async def ended(self) -> str:
        """Return when hived exits by itself, with a sentence that says how.

        Meanwhile every other part that exits is started again, alone.
        """
        keepers = [asyncio.create_task(self._keep(name)) for name in self._restart]
        try:
            code = await self._children["hived"].wait()
            return f"hived exited ({describe_exit(code)}). {self._tail('hived')}"
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, name: str) -> None:
        """Start a part again whenever it has exited, later each time that it fails."""
        begun, failures = time.monotonic(), 0
        while True:
            code = await self._children[name].wait()
            failures = 0 if time.monotonic() - begun > _WELL_S else failures
            pause = min(_AGAIN_S * 2**failures, _AGAIN_MAX_S)
            failures += 1
            self.say(
                f"{name} exited ({describe_exit(code)}). Starting it again in "
                f"{pause:g} s. {self._tail(name)}"
            )
            await asyncio.sleep(pause)
            begun = time.monotonic()
            try:
                await self._restart[name]()
            except HiveError as error:
                self.say(error.message)
                await self._children[name].terminate(_STOP_S)
            else:
                self.say(f"{name} is running again.")

    # --- parts ------------------------------------------------------------------------

    def _configure(
        self, state: Path, upstream: str, key: str, ids: Ids | None
    ) -> HiveConfig:
        key_file = self._room / "api-key"
        _write_secret(key_file, key, None if ids is None else ids.relay)
        urls_file = None
        if self.options.notify_urls is not None:
            urls_file = self._room / "notify-urls"
            uid = None if ids is None else ids.notify
            _write_secret(urls_file, self.options.notify_urls, uid)
        port = self.options.port
        return HiveConfig(
            state_dir=str(state),
            runtime_dir=str(self._runtime(state, ids)),
            ids=ids,
            defaults=AgentDefaults(memory_max=_MEMORY_DEFAULT),
            web=WebConfig(port=port, run=secrets.token_hex(8)),
            relay=RelayConfig(
                upstream_url=upstream,
                credential=self.options.credential,
                api_key_file=str(key_file),
                scripted=self.options.api_key is None,
                name=self.options.accounts.default,
                others=self._other_accounts(ids),
            ),
            models=self.options.settings.models,
            egress=self.options.egress,
            notify=NotifyConfig(url_file=None if urls_file is None else str(urls_file)),
            timeouts=self.options.timeouts,
            messages=self.options.messages,
            disk=self.options.disk,
            quotas=self.options.quotas,
            warm=self.options.warm,
            agents=tuple(DeclaredAgent(name=name) for name in self.options.agents),
        )

    def _other_accounts(self, ids: Ids | None) -> dict[str, Account]:
        """Write the credentials of the other accounts where only the relay reads."""
        found = {}
        for name, one in self.options.accounts.all.items():
            if name != self.options.accounts.default:
                file = self._room / f"account-{name}"
                _write_secret(file, one.key, None if ids is None else ids.relay)
                found[name] = Account(
                    upstream_url=one.upstream,
                    credential=one.kind,
                    api_key_file=str(file),
                )
        return found

    def _runtime(self, state: Path, ids: Ids | None) -> Path:
        """Return the directory of the sockets, which the parts' own users can reach.

        The path to a state directory may be closed to them (below ``/root``, for
        example), so root's hive has its sockets elsewhere and ``run`` in the state
        directory is a link.
        """
        link = state / "run"
        if ids is None:
            return link
        if link.is_symlink():
            link.unlink()
        runtime = self._room / "run"
        runtime.mkdir(mode=0o700)
        self._let_pass(runtime, ids)
        link.symlink_to(runtime)
        return runtime

    def _start_model(self, key: str, ids: Ids | None) -> str:
        """Start the scripted model; return its address, possibly before it is up.

        It answers only clients with ``key``, and is a user of its own that owns
        nothing. The socket is created here: early clients wait in its queue, so nothing
        else has to wait for the start, and one that is started again has the same.
        """
        self._model = listening = socket.create_server(("127.0.0.1", 0))
        uid = None if ids is None else model_user(ids)

        async def start() -> None:
            with self.options.script.open("rb") as script:
                inherited = (listening.fileno(), script.fileno())
                self._child(
                    "scripted-model",
                    "pyglue.demo.scripted_model",
                    ["--fd", str(inherited[0]), "--script-fd", str(inherited[1])],
                    env={KEY_VARIABLE: key},
                    run_as=None if uid is None else RunAs(uid, uid),
                    pass_fds=inherited,
                )

        self._restart["scripted-model"] = start
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    def _spawn(
        self,
        name: str,
        module: str,
        *,
        uid: int | None = None,
    ) -> asyncio.Task[None]:
        """Start a daemon; the task ends when it reports that it is ready."""
        ready = Readiness(self._room / f"{name}.notify", uid)
        env = {"NOTIFY_SOCKET": str(ready.path)}
        ids = self.config.ids
        groups = () if ids is None else (_group(ids),)
        run_as = None if uid is None else RunAs(uid, uid, groups)
        argv = ["--config", str(self._config_file)]
        child = self._child(name, module, argv, env=env, run_as=run_as)
        return asyncio.create_task(self._ready(name, child, ready))

    async def _ready(self, name: str, child: Child, ready: Readiness) -> None:
        try:
            await self._first(name, child, ready.future)
        finally:
            ready.close()

    def _child(
        self,
        name: str,
        module: str,
        argv: list[str],
        *,
        env: Mapping[str, str] | None = None,
        run_as: RunAs | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> Child:
        place = self.options.state.resolve() / "logs" / f"{name}.log"
        log = self._logs.setdefault(name, LogFile(place))
        kept = {key: os.environ[key] for key in _KEPT_ENV if key in os.environ}
        child = Child.start(
            [*_DIE_WITH_US, sys.executable, "-P", "-m", module, *argv],
            env={
                **kept,
                "PYTHONUNBUFFERED": "1",
                "HOME": "/nonexistent",
                **(env or {}),
            },
            log=log,
            run_as=run_as,
            pass_fds=pass_fds,
            wrapper=self._reach(run_as),
        )
        self._children[name] = child
        return child

    def _reach(self, run_as: RunAs | None) -> tuple[str, ...]:
        """Let a part find our modules and its sockets, even below a closed home."""
        places = (*own_places(), self.options.state.resolve())
        return reach(dict.fromkeys(places), run_as)

    async def _first(
        self, name: str, child: Child, found: "asyncio.Future[str]"
    ) -> str:
        ended = asyncio.ensure_future(child.wait())
        waiting: list[asyncio.Future[Any]] = [asyncio.shield(found), ended]
        await asyncio.wait(
            waiting, timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED
        )
        if found.done():
            ended.cancel()
            return found.result()
        what = "exited at once" if ended.done() else f"was not ready in {_READY_S:g} s"
        raise HiveError(ErrorCode.UNAVAILABLE, f"{name} {what}. {self._tail(name)}")

    def _tail(self, name: str) -> str:
        child = self._children.get(name)
        lines = [] if child is None else [line for line in child.lines if line.strip()]
        told = [line for line in lines if not line.startswith(ANCHOR_LINE)]
        log = self.options.state / "logs" / f"{name}.log"
        return f"Last line: {told[-1] if told else 'none'} (full log: {log})"


def _group(ids: Ids) -> int:
    return ids.agent if ids.group is None else ids.group


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


def _write_secret(path: Path, text: str, uid: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if uid is not None:
        os.chown(path, uid, uid)


def seconds_since(start: float) -> str:
    """Return a duration for people."""
    return f"{time.monotonic() - start:.1f} s"
