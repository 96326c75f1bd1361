"""Approving and deploying over a ``Kit``: real operations, repository and tags.

The container is played: starting it lets its harness say hello, well or not.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pygit2

from checks.kits.host.backend import Played
from checks.kits.host.counts import uncounted
from checks.kits.host.store import Kit, put
from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.approvals import ApprovalKind
from pyglue.api.common import HarnessReport
from pyglue.api.operations import OperationKind
from pyglue.config import HiveConfig
from pyglue.git.host_commits import seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.agents.lifecycle import Lifecycle
from pyglue.host.agents.sockets import AgentSockets
from pyglue.host.agents.specs import Specs
from pyglue.host.changes.approvals import Approvals
from pyglue.host.changes.deploy import Deploy
from pyglue.host.changes.review import Review
from pyglue.host.core.agent import Receiver
from pyglue.host.core.operations import Operations
from pyglue.host.core.secret_uses import SecretUses
from pyglue.host.core.secrets import Secrets
from pyglue.host.doctor.repair_repos import RepoRepair
from pyglue.host.messages.notifications import Notifications
from pyglue.host.messages.webhooks import Webhooks
from pyglue.manifest.record import PinnedRecord
from pyglue.redaction.redactor import Redactor
from pyglue.store import agreement, approvals
from pyglue.store.approvals import NewApproval


class Line:
    """A harness's connection."""

    def __init__(self) -> None:
        self._closed: list[Callable[[], None]] = []

    def on_close(self, then: Callable[[], None]) -> None:
        self._closed.append(then)

    def close(self) -> None:
        closed, self._closed = self._closed, []
        for then in closed:
            then()

    def notify(self, *_: Any) -> None: ...


class Container(Played):
    """Says hello when it is started; ``problem`` is what its harness reports then."""

    def __init__(self) -> None:
        super().__init__()
        self.hello: Callable[[str, HarnessReport], None]
        self.problem: str | None = None
        self.starting: Callable[[], None] = lambda: None
        self.up: set[str] = set()

    async def build(self, _spec: Any, _log: Any = None) -> None:
        return None

    async def start(self, spec: Any) -> None:
        self.up.add(spec.name)
        self.starting()
        sha = hashlib.sha256(spec.record).hexdigest()
        self.hello(spec.name, HarnessReport(manifest_sha256=sha, problem=self.problem))

    async def stop(self, name: str, *, grace_s: float = 5.0) -> None:
        self.up.discard(name)

    def running(self, name: str) -> bool:
        return name in self.up


@dataclass(repr=False)
class Deploys:
    """bob, whose changes are proposed, approved and deployed."""

    kit: Kit
    operations: Operations
    approvals: Approvals
    container: Container
    repo: AppliedRepo
    repair: RepoRepair
    count: int = field(default=0, init=False)

    async def propose(self) -> int:
        """Put a commit and its record into the repository, and queue it."""
        self.count += 1
        record = PinnedRecord({**MANIFEST, "description": str(self.count)}, None)
        main = self.repo.main()
        assert main is not None
        commit = _commit(self.repo, main, self.count)
        number = await self.kit.store.write(approvals.reserve_id)
        self.repo.tag(TagKind.PROPOSAL, number, commit, record.encode())
        new = NewApproval(
            agent="bob",
            kind=ApprovalKind.CHANGE,
            commit=commit,
            main=main,
            record=record.encode(),
            manifest_sha256=record.sha256,
            nixos_options=(),
            policy=(),
            description="d",
            proposed_by="manager",
            author="a",
            message="m",
        )
        await self.kit.store.write(lambda tx: approvals.insert(tx, number, new))
        return number

    async def inconsistent(self) -> list[str]:
        """Return what the doctor finds of bob's repository."""
        said = await self.kit.store.read(agreement.read)
        return [one.says for one in await self.repair.look("bob", said)]


def _commit(repo: AppliedRepo, parent: str, number: int) -> str:
    with repo.open() as it:
        tree = it.TreeBuilder()
        blob = it.create_blob(f"{{ }} # {number}\n".encode())
        tree.insert("agent.nix", blob, pygit2.enums.FileMode.BLOB)
        who = pygit2.Signature("a", "a@example.org", number, 0)
        made = it.create_commit(None, who, who, "m", tree.write(), [parent])
    return str(made)


def _nothing(_manifest: object) -> None:
    """Miss no workspace."""


_PART: Any = SimpleNamespace


def _lifecycle(kit: Kit, config: HiveConfig, directories: Any) -> Lifecycle:
    """Make what starts bob's container, and hears from its harness."""
    container = Container()
    sockets = AgentSockets(directories=directories, config=config, redactor=Redactor())
    lifecycle = Lifecycle(
        transitions=kit.transitions,
        relay=_PART(add=lambda *_: None, remove=lambda _: None),
        egress=_PART(add=lambda *_: None, remove=lambda _: None),
        sockets=sockets,
        backend=container,
        config=config,
        specs=Specs(
            config=config, workspaces=_PART(mounts=lambda _: (), missing=_nothing)
        ),
    )

    def hello(name: str, report: HarnessReport) -> None:
        line: Any = Line()
        agent = kit.registry.get(name)
        holder = Receiver(agent=agent, harness=True)
        line.on_close(lambda: kit.broker.mailbox.disconnected(holder))
        lifecycle.hello(agent, line, report)

    container.hello = hello
    return lifecycle


def _review(kit: Kit, config: HiveConfig) -> Review:
    secrets = Secrets(redactor=Redactor(), config=config, audit=kit.audit)
    return Review(
        store=kit.store,
        config=config,
        webhooks=Webhooks(
            count=uncounted,
            config=config,
            registry=kit.registry,
            broker=kit.broker,
            secrets=secrets,
        ),
        secret_uses=SecretUses(
            config=config, registry=kit.registry, secrets=secrets, audit=kit.audit
        ),
    )


async def open_deploys(kit: Kit, room: Path) -> Deploys:
    """Make bob, deployed once, and what deploys him again."""
    config = HiveConfig(state_dir=str(room), runtime_dir=str(room))
    directories = _PART(make=lambda _name: None, make_run=lambda _name: room)
    lifecycle = _lifecycle(kit, config, directories)
    container = lifecycle.backend
    assert isinstance(container, Container)
    operations = Operations(store=kit.store, audit=kit.audit, again_s=0.0)
    notifications = Notifications(store=kit.store, broker=kit.broker, audit=kit.audit)
    deploy = Deploy(
        store=kit.store,
        registry=kit.registry,
        transitions=kit.transitions,
        notifications=notifications,
        lifecycle=lifecycle,
        directories=directories,
        audit=kit.audit,
        config=config,
        backend=container,
        systems=_PART(show=lambda *_: None),
    )
    await operations.start(dict.fromkeys(OperationKind, deploy))
    decisions = Approvals(
        store=kit.store,
        registry=kit.registry,
        notifications=notifications,
        operations=operations,
        kept_files=_PART(has_run=lambda _name: True),
        audit=kit.audit,
        review=_review(kit, config),
        config=config,
    )
    path = config.layout.applied("bob")
    path.parent.mkdir()
    repo = AppliedRepo.create(path)
    seed_main(repo, {"agent.nix": b"{ }\n"}, message="first", at=1)
    await kit.agent("manager")
    put(await kit.agent("bob"), record=None, applied=None)
    return Deploys(
        kit=kit,
        operations=operations,
        approvals=decisions,
        container=container,
        repo=repo,
        repair=RepoRepair(store=kit.store, operations=operations, layout=config.layout),
    )


@contextlib.contextmanager
def quick_refs() -> Iterator[None]:
    """Write refs by libgit2: a process for each costs most of a deploy."""

    def set_ref(repo: AppliedRepo, ref: str, new: str, old: str | None) -> bool:
        with repo.open() as it:
            now = it.references.get(ref)
            if (None if now is None else str(now.target)) != old:
                return False
            it.references.create(ref, new, force=True)
        return True

    with mock.patch.object(AppliedRepo, "_set_ref", set_ref):
        yield
