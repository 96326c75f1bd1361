"""The base of hived: directories, store, audit log, events, registry.

``open_base`` builds it, and cleans up what an earlier hived left behind.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.agents.directories import Directories, unusable
from pyglue.host.agents.kept_files import KeptFiles
from pyglue.host.backends.base import Backend
from pyglue.host.backends.local import LocalBackend
from pyglue.host.backends.nixos_container import NixosContainerBackend
from pyglue.host.control.disk_space import Disk
from pyglue.host.core import audit as audit_log
from pyglue.host.core import store_age
from pyglue.host.core.audit import Audit
from pyglue.host.core.events import EventBus
from pyglue.host.core.name_conflicts import known
from pyglue.host.core.registry import Registry
from pyglue.host.core.secrets import Secrets
from pyglue.host.core.transitions import Transitions
from pyglue.host.core.warnings import Warnings
from pyglue.host.core.workspaces import Workspaces
from pyglue.nix import Evaluator
from pyglue.paths import Layout
from pyglue.redaction.redactor import Redactor
from pyglue.store import database, leases, sequences
from pyglue.store.database import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Base:
    """The parts that depend on no others."""

    config: HiveConfig
    directories: Directories
    kept_files: KeptFiles
    backend: Backend
    evaluator: Evaluator
    disk: Disk
    store: Store
    audit: Audit
    bus: EventBus
    registry: Registry
    transitions: Transitions
    warnings: Warnings
    redactor: Redactor
    secrets: Secrets
    workspaces: Workspaces


_BACKENDS: Final[tuple[type[Backend], ...]] = (LocalBackend, NixosContainerBackend)


def backend_of(config: HiveConfig) -> Backend:
    """Return the configured container backend."""
    return _kind_of(config)(config)


def _kind_of(config: HiveConfig) -> type[Backend]:
    for backend in _BACKENDS:
        if backend.name == config.backend:
            return backend
    known = " or ".join(f'"{backend.name}"' for backend in _BACKENDS)
    raise HiveError(
        ErrorCode.CONFIG_INVALID,
        f"There is no backend {config.backend!r}; use {known}.",
    )


def _disk(config: HiveConfig) -> Disk:
    """Ensure free space for the start, even if agents have filled the disk."""
    state = config.layout.state
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = Disk(state, config.disk)
        disk.prepare()
    except OSError as error:
        raise unusable(state, error) from error
    return disk


async def _open_store(layout: Layout, disk: Disk, warnings: Warnings) -> Store:
    """Open the store; its numbers continue after those used in repositories."""
    named: dict[str, int] = {}
    store = open_store(
        layout.database,
        layout.lock,
        make_space=disk.make_space,
        reserve=database.RESERVE,
        before=lambda: named.update(store_age.check(layout)),
    )
    store.on_damage(warnings.add)
    if store.warning is not None:
        warnings.add(store.warning)
    await store.write(lambda tx: sequences.raise_to(tx, named))
    return store


async def open_base(config: HiveConfig) -> Base:
    """Build the parts. Leased messages are queued again.

    Raises:
        HiveError: why hived cannot run, and what to do.
    """
    layout = config.layout
    directories = Directories(config, agents_pass=_kind_of(config).agents_pass)
    disk = await asyncio.to_thread(_disk, config)
    await asyncio.to_thread(directories.prepare)
    backend = backend_of(config)
    redactor = backend.redactor = Redactor()
    directories.connect(backend.admit)
    evaluator = Evaluator.of(config)
    evaluator.check()
    warnings = Warnings()
    store = await _open_store(layout, disk, warnings)
    audit = Audit(
        layout.audit_log,
        layout.state / "private" / "audit.key",
        make_space=disk.make_space,
        reserve=audit_log.RESERVE,
    )
    bus = EventBus(store=store)
    await bus.load()
    secrets = Secrets(config=config, audit=audit, redactor=redactor)
    await secrets.learn_all()
    registry = Registry()
    transitions = Transitions(store=store, registry=registry)
    await transitions.load()
    await store.write(leases.release_all)
    kept_files = KeptFiles(layout=layout)
    await asyncio.to_thread(kept_files.tidy_all)
    names = await store.read(known)
    await asyncio.to_thread(kept_files.forget_strays, names)
    return Base(
        config=config,
        directories=directories,
        kept_files=kept_files,
        backend=backend,
        evaluator=evaluator,
        disk=disk,
        store=store,
        audit=audit,
        bus=bus,
        registry=registry,
        transitions=transitions,
        warnings=warnings,
        redactor=redactor,
        secrets=secrets,
        workspaces=await asyncio.to_thread(
            lambda: Workspaces(
                config=config,
                audit=audit,
                registry=registry,
                addable=backend.binds_at_start,
            )
        ),
    )
