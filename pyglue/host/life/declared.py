"""Agents declared by the configuration: created at first start, proposed on change.

``bootstrap`` uses it once everything listens. The author of the host's configuration
chose the first agents and their files, so these are approved in the name of the command
that applied it: ``nixos-rebuild``, or ``hive run`` on the local backend. Later changes
of a ``source`` are proposed for review like any others: the agent may have changed in
the meantime. Without a ``source``, an agent starts from files that come with the hive;
an update of the hive proposes nothing.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.api.approvals import ApproveParams, critical
from pyglue.api.events import HiveWarning
from pyglue.config import DeclaredAgent, HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.replace import write_file
from pyglue.host.changes.approvals import Approvals
from pyglue.host.changes.proposals import Proposals
from pyglue.host.core.registry import Registry
from pyglue.host.core.warnings import Warnings
from pyglue.store import approvals as rows
from pyglue.store.database import Store

_FILES_MAX: Final = 2000
_BYTES_MAX: Final = 8 * 1024 * 1024
_log = logging.getLogger(__name__)


def in_whose_name(config: HiveConfig) -> str:
    """Return the command that the operator declared agents with: it approves them."""
    return "hive run" if config.nixos is None else "nixos-rebuild"


@dataclass(kw_only=True)
class Declared:
    """Creates missing declared agents, and proposes changes of their sources."""

    config: HiveConfig
    registry: Registry
    proposals: Proposals
    approvals: Approvals
    store: Store
    warnings: Warnings
    agents: Path
    """Directory of the agents that come with the hive."""
    _by: str = field(init=False)

    def __post_init__(self) -> None:
        self._by = in_whose_name(self.config)

    async def run(self, interrupted: frozenset[str]) -> None:
        """Process all declared agents. Errors become warnings, one for each agent.

        ``interrupted`` are agents whose operation is resumed after a crash.
        """
        for declared in self.config.agents:
            if declared.name in interrupted:
                continue
            try:
                await self._one(declared)
            except HiveError as error:
                self._warn(declared.name, error)

    async def _one(self, declared: DeclaredAgent) -> None:
        name = declared.name
        known = self.registry.find(name)
        made = known is not None and known.record is not None
        if made and declared.source is None:
            return
        directory = self._directory(declared)
        files = await asyncio.to_thread(read_source, name, directory)
        digest = digest_of(files)
        if not made:
            await self._make(name, files)
        elif digest != await asyncio.to_thread(self._remembered, name):
            await self.proposals.redeclare(
                name, files, f"The declared source of {name} has changed", self._by
            )
        if declared.source is not None:
            await asyncio.to_thread(self._remember, name, digest)

    async def _make(self, name: str, files: Mapping[str, bytes]) -> None:
        proposal = await self.proposals.declare(
            name, files, f"First start of {name}", self._by
        )
        row = await self.approvals.store.read(
            lambda reader: rows.get(reader, proposal.approval)
        )
        await self.approvals.approve(
            ApproveParams(
                id=proposal.approval,
                commit=proposal.commit,
                manifest=proposal.manifest_sha256,
                # Who declares an agent has written or read its files.
                accepted=critical(row.policy),
            ),
            self._by,
        )

    def _directory(self, declared: DeclaredAgent) -> Path:
        if declared.source is not None:
            return Path(declared.source)
        ours = self.agents / declared.name
        return ours if ours.is_dir() else self.agents / "template"

    # --- the last declared source ---------------------------------------------------

    def _file(self, name: str) -> Path:
        return self.config.layout.private(name) / "declared"

    def _remembered(self, name: str) -> str | None:
        try:
            return self._file(name).read_text("ascii")
        except FileNotFoundError:
            return None

    def _remember(self, name: str, digest: str) -> None:
        self._file(name).parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        write_file(self._file(name), digest.encode())

    def _warn(self, name: str, error: HiveError) -> None:
        text = f"Could not create {name}: {error.message}"
        known = self.registry.find(name)
        if known is not None and known.record is not None:
            text = f"Could not propose the changed source of {name}: {error.message}"
        _log.error("%s", text)
        self.warnings.add(text)
        self.store.emit(name, HiveWarning(text=text))


def read_source(name: str, directory: Path) -> dict[str, bytes]:
    """Return a directory's files by relative path.

    Raises:
        HiveError: ``config_invalid`` if it cannot be an agent's directory.
    """
    files: dict[str, bytes] = {}
    size = 0
    try:
        for path in sorted(directory.rglob("*")):
            if not path.is_file():
                continue
            content = path.read_bytes()
            size += len(content)
            files[str(path.relative_to(directory))] = content
            if len(files) > _FILES_MAX or size > _BYTES_MAX:
                raise _not_a_source(
                    name, directory, f"has more than {_FILES_MAX} files or 8 MiB"
                )
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise _not_a_source(name, directory, reason) from error
    if "agent.nix" not in files:
        raise _not_a_source(name, directory, "has no agent.nix")
    return files


def _not_a_source(name: str, directory: Path, why: str) -> HiveError:
    return HiveError(
        ErrorCode.CONFIG_INVALID,
        f"Invalid source of {name}: {directory} {why}. Name a directory with an "
        "agent.nix.",
    )


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return a hash of names and contents."""
    found = hashlib.sha256()
    for path, content in sorted(files.items()):
        found.update(f"{len(path.encode())} {path} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()
