"""A whole local hive in a temporary directory, driven as an operator would.

Real processes: hived, what a test uses beside it, the scripted model, agents in
bubblewrap with the real CLI or, where that is not under test, peers. ``Hive.propose``
commits in an agent's repository and submits over the manager's socket with the
manager's own tool; ``Hive.until`` waits by events.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from checks.kits.host.forks import CHECKOUT, HIVED, ForkingParts
from checks.kits.host.hived import ALL, REAL, UNCHECKED
from checks.kits.net.ports import free_port
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import command, family
from pyglue.api import operator as api
from pyglue.api.approvals import (
    ApprovalParams,
    ApprovalsParams,
    ApprovalSummary,
    ApproveParams,
    critical,
)
from pyglue.api.common import PROTOCOL, AgentState, HelloParams, NoParams
from pyglue.api.events import Event, SubscribeParams
from pyglue.api.inbox import InboxFilter, InboxParams, OperatorSendParams
from pyglue.api.manager import AgentParams, ProposalResult
from pyglue.api.messages import Message, ShownMessage
from pyglue.api.operations import Operation, OperationParams
from pyglue.api.overview import AgentView
from pyglue.cli.local.configure import LocalOptions
from pyglue.cli.local.launcher import LocalHive
from pyglue.cli.local.settings import LocalAccounts, LocalSettings
from pyglue.config import (
    DiskConfig,
    EgressConfig,
    HiveConfig,
    MessageLimits,
    Quotas,
    Timeouts,
    WarmConfig,
    WebPushConfig,
)
from pyglue.demo import story
from pyglue.jsonrpc import Connection, Handlers, SyncClient, connect
from pyglue.manifest.record import canonical
from pyglue.paths import Layout
from pyglue.tools.submit import ApplyCommit, submit

T = TypeVar("T")

AGENTS = ("manager", "alice")
API_KEY = "the-hives-own-key"
BUSY = Quotas(proposals_per_hour=None, operations_per_hour=None)
"""A test proposes and restarts more in an hour than a manager does."""
SMALL_DISK = DiskConfig(ballast_mib=1)
"""Tests have many hives."""


def script(*steps: dict[str, Any]) -> str:
    """Return a message body that tells the scripted model what to do."""
    return f"SCRIPT: {canonical(list(steps)).decode()}"


class PeerHive(LocalHive):
    """A local hive whose agents are peers."""

    hived = (HIVED, {"PYTHONPATH": str(CHECKOUT)})
    parts = ForkingParts


def _kind(real: tuple[str, ...], *, checked: bool, forked: bool) -> type[LocalHive]:
    """Return a local hive in which the agents ``real`` have the real harness."""
    if checked and real == (ALL,):
        return LocalHive
    unchecked = {} if checked else {UNCHECKED: "1"}
    module, env = PeerHive.hived
    hived = (module, {**env, **unchecked, REAL: " ".join(real)})
    parts = PeerHive.parts if forked else LocalHive.parts
    return type("MixedHive", (LocalHive,), {"hived": hived, "parts": parts})


@dataclass(repr=False)
class Hive:
    """A running hive and the operator's connection to it."""

    local: LocalHive
    operator: Connection
    events: list[Event] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> Path:
        """The state directory."""
        return Path(self.local.config.state_dir)

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        socket = self.local.config.layout.operator_socket
        client = SyncClient(socket, client="hive")
        try:
            return client.call(api.WEB_ORIGIN, NoParams()).origin
        finally:
            client.close()

    async def until(
        self,
        look: Callable[[], Awaitable[T | None]],
        what: str,
        *,
        patience: float = PATIENCE_S,
        every: float | None = None,
    ) -> T:
        """Look now and after every event until something is found.

        What no event tells is looked at ``every`` so many seconds, too.
        """
        async with asyncio.timeout(patience):
            while True:
                self.changed.clear()
                found = await look()
                if found is not None:
                    return found
                try:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(every):
                            await self.changed.wait()
                except asyncio.CancelledError as gone:
                    raise AssertionError(f"{what} did not happen") from gone

    # --- the operator -----------------------------------------------------------

    async def agent(self, name: str) -> AgentView:
        """Return an agent."""
        found = await self.operator.call(api.AGENT, AgentParams(agent=name))
        return found.agent

    async def idle(self, *names: str) -> None:
        """Return when these agents wait for mail."""

        async def look() -> bool | None:
            found = (await self.operator.call(api.AGENTS, NoParams())).agents
            idle = {
                a.name
                for a in found
                if a.state is AgentState.IDLE and a.deployed_commit is not None
            }
            return True if idle.issuperset(names) else None

        await self.until(look, f"idle {names}")

    async def send(self, to: str, body: str) -> int:
        """Send as the operator."""
        params = OperatorSendParams(to=to, body=body)
        return (await self.operator.call(api.OPERATOR_SEND, params)).id

    async def inbox(self, *, sender: str | None = None) -> list[ShownMessage]:
        """Return the operator's inbox, newest first."""
        asked = InboxParams(show=InboxFilter.ALL)
        found = await self.operator.call(api.INBOX, asked)
        return [m for m in found.messages if sender in (None, m.sender)]

    async def answer(
        self, sender: str, part: str, *, patience: float = PATIENCE_S
    ) -> Message:
        """Return the message of ``sender`` to the operator that holds ``part``."""

        async def look() -> Message | None:
            for message in await self.inbox(sender=sender):
                if part in message.body:
                    return message
            return None

        what = f"a message of {sender} with {part!r}"
        return await self.until(look, what, patience=patience)

    async def approvals(self, agent: str) -> tuple[ApprovalSummary, ...]:
        """Return an agent's approvals, newest first."""
        params = ApprovalsParams(agent=agent)
        return (await self.operator.call(api.APPROVALS, params)).approvals

    async def approve(self, proposal: ProposalResult) -> Operation:
        """Approve as proposed and wait for the deploy's end."""
        seen = ApprovalParams(id=proposal.approval)
        detail = await self.operator.call(api.APPROVAL, seen)
        params = ApproveParams(
            id=proposal.approval,
            commit=proposal.commit,
            manifest=proposal.manifest_sha256,
            accepted=critical(detail.policy),
        )
        number = (await self.operator.call(api.APPROVE, params)).operation
        return await self.operation(number)

    async def operation(self, number: int) -> Operation:
        """Return an operation at its end."""
        params = OperationParams(id=number, wait_seconds=PATIENCE_S)
        return await self.operator.call(api.OPERATION, params)

    # --- the manager --------------------------------------------------------------

    async def as_agent(self, name: str) -> Connection:
        """Connect to an agent's socket as one more of its tools."""
        path = self.local.config.layout.run(name) / "hive.sock"
        return await connect(path, hello=HelloParams(protocol=PROTOCOL, client="test"))

    def repository(self, agent: str) -> Path:
        """Return the repository that the manager writes."""
        return self.local.config.layout.config(agent)

    def git(self, agent: str, *arguments: str) -> str:
        """Run git in an agent's repository, as the manager would."""
        done = subprocess.run(
            ["git", "-c", "user.name=m", "-c", "user.email=m@localhost", *arguments],
            cwd=self.repository(agent),
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/nonexistent",
                "GIT_CONFIG_COUNT": "2",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "GIT_CONFIG_KEY_1": "safe.bareRepository",
                "GIT_CONFIG_VALUE_1": "explicit",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, agent: str, files: Mapping[str, str], message: str = "c") -> str:
        """Write files, commit them, return the commit."""
        for name, text in files.items():
            path = self.repository(agent) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git(agent, "add", "-A")
        self.git(agent, "commit", "-qm", message)
        return self.git(agent, "rev-parse", "HEAD")

    async def submit(
        self, agent: str, commit: str, description: str = "", *, spawn: bool = False
    ) -> ProposalResult:
        """Submit a commit with the manager's tool."""
        manager = await self.as_agent("manager")
        try:
            request = ApplyCommit(agent=agent, commit=commit, description=description)
            agents = self.local.config.layout.agents
            return await submit(manager, agents, request, spawn=spawn)
        finally:
            manager.close()

    async def propose(self, agent: str, nix: str) -> ProposalResult:
        """Commit an agent.nix and submit it."""
        return await self.submit(agent, self.commit(agent, {"agent.nix": nix}))

    # --- killing ------------------------------------------------------------------

    async def reconfigure(self, config: HiveConfig) -> None:
        """Write another config file and start hived again with it."""
        self.local.take(config)
        await self.kill_hived()

    async def kill_hived(self) -> None:
        """Kill -9 hived, start it again, and connect again."""
        os.kill(self.local.pid("hived"), 9)
        await self.operator.wait_closed()
        await self.local.start_hived()
        self.operator = await open_operator(
            self.local.config, self.events, self.changed
        )

    async def kill_relay(self) -> None:
        """Kill -9 the relay, and start it again as ``hive run`` does."""
        os.kill(self.local.pid("hive-relay"), 9)
        await self.local.keep("relay")


async def open_operator(
    config: HiveConfig, events: list[Event], changed: asyncio.Event
) -> Connection:
    """Connect as the operator; put every event into ``events``, set ``changed``."""

    def take(event: Event) -> None:
        events.append(event)
        changed.set()

    handlers = Handlers()
    handlers.on_note(api.EVENT, take)
    connection = await connect(
        config.layout.operator_socket,
        handlers,
        hello=HelloParams(protocol=PROTOCOL, client="test"),
    )
    await connection.call(api.SUBSCRIBE, SubscribeParams())
    changed.set()
    return connection


def own_ports(state: Path, agents: tuple[str, ...]) -> None:
    """Give agents ports of their own: a name's is the same in all hives of a machine.

    Two that start at once would both find it free.
    """
    for name in agents:
        file = Layout(state, state).port(name)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{free_port()}\n")


def harnesses(local: LocalHive) -> list[int]:
    """Return the processes of real harnesses; peers are none."""
    pids = family(local.pid("hived"))
    return [pid for pid in pids if "pyglue.harness.main" in " ".join(command(pid))]


def let_pass(room: Path) -> None:
    """Let other users enter a directory of ours: agents are some."""
    for passage in (room, *room.parents):
        if passage.stat().st_uid == os.geteuid() and passage != Path("/"):
            with contextlib.suppress(PermissionError):
                passage.chmod(passage.stat().st_mode | 0o011)


@contextlib.asynccontextmanager
async def opened(
    local: LocalHive, agents: tuple[str, ...], *, wait: bool = True
) -> AsyncIterator[Hive]:
    """Start a hive and let a test operate it, for as long as the block takes."""
    try:
        await local.start()
        events: list[Event] = []
        changed = asyncio.Event()
        operator = await open_operator(local.config, events, changed)
        hive = Hive(local, operator, events, changed)
        if wait:
            await hive.idle(*agents)
        yield hive
        hive.operator.close()
    finally:
        await local.stop()


def _egress(names: Mapping[str, str], authorities: Path | None) -> EgressConfig:
    trusted = None if authorities is None else authorities.read_text()
    return EgressConfig(names=dict(names), authorities=trusted)


@contextlib.asynccontextmanager
async def running_hive(
    room: Path,
    *,
    agents: tuple[str, ...] = AGENTS,
    timeouts: Timeouts | None = None,
    messages: MessageLimits | None = None,
    disk: DiskConfig | None = None,
    quotas: Quotas | None = None,
    warm: WarmConfig | None = None,
    wait: bool = True,
    upstream: str | None = None,
    peers: bool = False,
    real: tuple[str, ...] = (ALL,),
    checked: bool = False,
    forked: bool = True,
    beside: tuple[str, ...] | None = None,
    notify_urls: str | None = None,
    web_push: WebPushConfig | None = None,
    settings: LocalSettings | None = None,
    names: Mapping[str, str] | None = None,
    accounts: LocalAccounts | None = None,
    authorities: Path | None = None,
) -> AsyncIterator[Hive]:
    """Run a hive in ``room`` for as long as the block takes.

    ``names`` are hosts with addresses that hive-egress does not check, ``authorities``
    is a file of the certificates that it trusts, instead of the system's.
    ``upstream`` is a model that the test serves itself, asked with the key ``API_KEY``.
    With ``peers`` no agent runs the harness with the CLI, but ``harness.peer``; else
    the agents ``real`` do, which check the CLI at their start if they are to be
    ``checked``. ``beside`` are the parts beside hived: as default the relay.
    A hived that is not ``forked`` has a command line and variables of its own.
    """
    let_pass(room)
    local = _kind(() if peers else real, checked=checked, forked=forked)(
        LocalOptions(
            state=room / "state",
            port=free_port(),
            api_key=API_KEY if peers or upstream is not None else None,
            script=story.PATH,
            agents=agents,
            upstream=upstream or LocalOptions.upstream,
            timeouts=timeouts or Timeouts(),
            messages=messages or MessageLimits(),
            disk=disk or SMALL_DISK,
            quotas=quotas or BUSY,
            warm=warm or WarmConfig(),
            notify_urls=notify_urls,
            web_push=web_push or WebPushConfig(),
            settings=settings or LocalSettings(),
            accounts=accounts or LocalAccounts(),
            egress=_egress(names or {}, authorities),
        ),
        lambda _text: None,
        beside=(() if peers else ("relay",)) if beside is None else beside,
    )
    own_ports(room / "state", agents)
    async with opened(local, agents, wait=wait) as hive:
        assert not wait or (harnesses(local) == []) is (peers or not agents)
        yield hive
