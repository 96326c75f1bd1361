"""A hive as NixOS runs one: hived, relay and dashboard as units of a test host.

``install`` puts what ``modules/host`` makes of the case ``booted`` on a booted host:
configuration, users, directories, mount and units with all their fences; of these only
the paths of programs and of the configuration change. The stand-in nixpkgs comes with
it, and a nix-daemon, as NixOS has one. ``connected`` gives a ``SystemHive``, which is
driven as the local hives of the other tests are, through the host's root directory.
"""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from checks.kits.egress.bench import make_certificate
from checks.kits.host.hive import Hive, open_operator
from checks.kits.nix.standin import NIX_CONF, make_nixpkgs
from checks.kits.patience import PATIENCE_S
from checks.nix.host import record, units
from checks.systemd import notify_sink
from checks.systemd.machine import CHECKOUT, TOOLS, Machine
from checks.systemd.submit import Answer
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.events import Event
from pyglue.api.manager import ProposalResult
from pyglue.api.operations import Operation, OperationState
from pyglue.config import DeclaredAgent, HiveConfig, Ids, WebPushConfig, dump
from pyglue.host.backends.nixos_files import container_of, unit_of

T = TypeVar("T")

IDS: Final = Ids(agent=58001, web=58002, relay=58003, notify=58004, egress=58005)
PORT: Final = 7000
STATE: Final = "/var/lib/hyperhive"
RUNTIME: Final = "/run/hyperhive"
DAEMONS: Final = (
    *("scripted-model", "hived", "hive-relay", "hive-egress", "hive-web"),
    *("notify-sink", "hive-notify"),
)

_UNITS: Final = Path(__file__).parent / "units"
_SCRIPT: Final = Path(__file__).parents[2] / "pyglue/demo/scenario.json"
_CONFIG: Final = "/etc/hyperhive/config.json"
_KEY: Final = "/etc/hyperhive/api-key"
_URLS: Final = "/etc/hyperhive/notify-urls"
_CASE: Final = "booted"
_PACKAGE: Final = re.compile(r"/nix/store/0{32}-hyperhive(/bin/\S+) --config \S+")


def config_for(
    settings: Mapping[str, Any], nixpkgs: str, agents: tuple[str, ...], **changes: Any
) -> HiveConfig:
    """Return the daemons' configuration: the module's, with what is on this host."""
    config = msgspec.convert(settings, HiveConfig)
    assert config.ids == IDS
    assert config.nixos is not None
    replace = msgspec.structs.replace
    nixos = replace(config.nixos, nixpkgs=nixpkgs, framework=CHECKOUT, revision="test")
    return replace(
        config,
        agents=tuple(DeclaredAgent(name=name) for name in agents),
        nixos=nixos,
        notify=replace(
            config.notify,
            web_push=WebPushConfig(
                enable=True, private_hosts=(f"127.0.0.1:{notify_sink.PUSH_PORT}",)
            ),
        ),
        nixpkgs_lib=f"{nixpkgs}/lib",
        relay=replace(config.relay, scripted=True),
        **changes,
    )


def install(machine: Machine, agents: tuple[str, ...], **changes: Any) -> HiveConfig:
    """Set a hive up on a host and start it; return when its daemons are ready."""
    machine.write("/etc/nix/nix.conf", NIX_CONF)
    standin = machine.room / "var/tmp/nixpkgs"
    make_nixpkgs(standin)
    nixpkgs = machine.run("nix-store", "--add", "/var/tmp/nixpkgs").out.strip()
    shutil.rmtree(standin)
    made = record.evaluate(_CASE)
    config = config_for(made["settings"], nixpkgs, agents, **changes)
    machine.write(_CONFIG, dump(config).decode())
    machine.write("/etc/hyperhive/script.json", _SCRIPT.read_text())
    machine.write(_KEY, "the-hives-own-key", 0o400)
    machine.write(_URLS, f"json://127.0.0.1:{notify_sink.PORT}/\n", 0o400)
    _install_push_service(machine)
    _install_units(machine, made)
    wanted = [m for m in made["mounts"] if "hived.service" in m["wantedBy"]]
    for mount in wanted:
        machine.run("mkdir", "-p", mount["what"])
        machine.run("systemctl", "start", units.mount_name(mount))
    machine.run("systemctl", "start", "nix-daemon.socket", *DAEMONS)
    return config


def _install_push_service(machine: Machine) -> None:
    """Give the push service a certificate, which the host trusts."""
    cert, key = make_certificate(machine.room, "127.0.0.1")
    machine.write(notify_sink.CERT, cert.read_text())
    machine.write(notify_sink.KEY, key.read_text())  # the sink is nobody
    place = notify_sink.CERT
    found = machine.run("openssl", "x509", "-noout", "-hash", "-in", place).out
    machine.write(f"/etc/ssl/certs/{found.strip()}.0", cert.read_text())


def _install_units(machine: Machine, made: Mapping[str, Any]) -> None:
    """Write what NixOS would of users, directories, mount and units."""
    place = "/etc/systemd/system"
    machine.write("/etc/sysusers.d/hyperhive.conf", units.sysusers(made["users"]))
    machine.run("systemd-sysusers")
    rules = "".join(f"{rule}\n" for rule in made["tmpfiles"]["rules"])
    machine.write("/etc/tmpfiles.d/hyperhive.conf", rules)
    machine.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/hyperhive.conf")
    for mount in made["mounts"]:
        machine.write(f"{place}/{units.mount_name(mount)}", units.mount(mount))
    for name, service in made["services"].items():
        text = _PACKAGE.sub(rf"{TOOLS}\1 --config {_CONFIG}", units.service(service))
        machine.write(f"{place}/{name}.service", text)
    for name, listener in made["sockets"].items():
        machine.write(f"{place}/{name}.socket", units.listener(listener))
    for unit in _UNITS.iterdir():
        machine.write(f"{place}/{unit.name}", unit.read_text())
    machine.run("systemctl", "daemon-reload")


@dataclass
class _Seen:
    """What ``Hive`` asks of a local hive; paths as they are from outside."""

    config: HiveConfig


@dataclass
class SystemHive(Hive):
    """A hive on a test host, and the operator's connection to it."""

    machine: Machine = field(kw_only=True)

    async def until(
        self,
        look: Callable[[], Awaitable[T | None]],
        what: str,
        *,
        patience: float = PATIENCE_S,
        every: float | None = None,
    ) -> T:
        """Look as a hive does; say how the agents are if it is in vain."""
        try:
            return await super().until(look, what, patience=patience, every=every)
        except AssertionError as error:
            found = (await self.operator.call(api.AGENTS, NoParams())).agents
            states = (f"{a.name} {a.state} {a.detail or ''}" for a in found)
            raise AssertionError(f"{error}: {'; '.join(states)}") from error

    def git(self, agent: str, *arguments: str) -> str:
        """Run git in an agent's repository, on the host."""
        done = self.machine.run(
            *("git", "-C", f"{STATE}/agents/{agent}/config"),
            *("-c", "user.name=m", "-c", "user.email=m@localhost", *arguments),
        )
        return done.out.strip()

    def commit(self, agent: str, files: Mapping[str, str], message: str = "c") -> str:
        """Write files, commit them as their owner does, return the commit."""
        commit = super().commit(agent, files, message)
        owner = f"{IDS.agent}:{IDS.agent}"
        self.machine.run("chown", "-R", owner, f"{STATE}/agents/{agent}/config")
        return commit

    async def submit(
        self, agent: str, commit: str, description: str = "", *, spawn: bool = False
    ) -> ProposalResult:
        """Submit a commit with the manager's tool."""
        words = (agent, commit, description, *(["spawn"] if spawn else []))
        argv = ("-m", "checks.systemd.submit", *words)
        done = await asyncio.to_thread(self.machine.python, *argv)
        return msgspec.json.decode(done.out, type=Answer).result()

    async def operation(self, number: int) -> Operation:
        """Return an operation at its end, however long it takes."""
        while True:
            found = await super().operation(number)
            if found.state not in (OperationState.QUEUED, OperationState.RUNNING):
                return found

    async def kill_hived(self) -> None:
        """Kill -9 hived, wait until systemd has it again, and connect again."""
        run = self.run_of("hived")
        self.machine.run("systemctl", "kill", "--signal=KILL", "hived")
        await self.brought_back(run)

    async def brought_back(self, run: str) -> None:
        """Wait for a hived that systemd starts after the end of ``run``; connect."""
        await self.operator.wait_closed()
        await self.another_run("hived", run)
        await self.reconnect()

    def run_of(self, unit: str) -> str:
        """Return what names the present run of a unit."""
        return self.machine.show(unit, "InvocationID")["InvocationID"]

    async def another_run(self, unit: str, run: str) -> None:
        """Wait for systemd's own restart; it has no event that a test can wait for.

        Before it has noticed the end, a unit is still active, and starts at once.
        """
        wait = (
            'until [ "$(systemctl show -P ActiveState $0)" = active ] '
            '&& [ "$(systemctl show -P InvocationID $0)" != "$1" ]; do sleep 0.1; done'
        )
        await asyncio.to_thread(self.machine.run, "sh", "-c", wait, unit, run)

    async def restart_hived(self) -> None:
        """Restart hived as an update of the host does, and connect again."""
        await asyncio.to_thread(self.machine.run, "systemctl", "restart", "hived")
        await self.operator.wait_closed()
        await self.reconnect()

    async def reconnect(self) -> None:
        """Connect to a hived that runs, is being started, or was stopped."""
        await asyncio.to_thread(self.machine.run, "systemctl", "start", "hived")
        self.operator = await open_operator(
            self.local.config, self.events, self.changed
        )

    @contextlib.contextmanager
    def configured(self, **changes: Any) -> Iterator[None]:
        """Change the nixos part of the configuration; holds from a restart on."""
        path = _CONFIG
        kept = (self.machine.root / path.lstrip("/")).read_text()
        config = msgspec.json.decode(kept)
        config["nixos"] |= changes
        self.machine.write(path, json.dumps(config))
        try:
            yield
        finally:
            self.machine.write(path, kept)

    def leader(self, agent: str) -> int:
        """Return the container's PID 1, as a number of the host's."""
        shown = self.machine.run(
            "machinectl", "show", container_of(agent), "--property=Leader", "--value"
        )
        return int(shown.out)

    def inside(self, agent: str, code: str, *, user: str = "root") -> Any:
        """Return what Python code prints as JSON, run by ``user`` in a container."""
        done = self.machine.run(
            *("systemd-run", "--quiet", "--wait", "--pipe", "-M", container_of(agent)),
            *(f"--uid={user}", "/usr/bin/python3", "-c", code),
        )
        return json.loads(done.out)

    def unit(self, agent: str, *properties: str) -> dict[str, str]:
        """Return properties of a container's unit."""
        return self.machine.show(unit_of(agent), *properties)


@contextlib.asynccontextmanager
async def connected(machine: Machine, config: HiveConfig) -> AsyncIterator[SystemHive]:
    """Connect as the operator for as long as the block takes.

    What a failed test left of hived is started first, so that its fault stays one.
    """
    await asyncio.to_thread(machine.run, "systemctl", "start", "hived")
    seen = msgspec.structs.replace(
        config,
        state_dir=f"{machine.root}{STATE}",
        runtime_dir=f"{machine.root}{RUNTIME}",
    )
    events: list[Event] = []
    changed = asyncio.Event()
    operator = await open_operator(seen, events, changed)
    hive = SystemHive(
        _Seen(seen),  # type: ignore[arg-type]
        operator,
        events,
        changed,
        machine=machine,
    )
    try:
        yield hive
    finally:
        hive.operator.close()
