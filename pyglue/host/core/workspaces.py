"""The hive's workspaces: named by the operator, mounted for agents that request them.

Some are set in the host's configuration. On a hive whose backend binds directories
itself, ``hive workspace add`` adds more, stored in ``workspaces.json`` of the state
directory. Names are resolved to paths when an agent starts. The file is not part of
backups, because the paths belong to this machine.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.api.common import AgentState, NoParams
from pyglue.api.workspaces import (
    WorkspaceAddParams,
    WorkspaceParams,
    WorkspacesResult,
    WorkspaceView,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder
from pyglue.files.replace import write_file
from pyglue.files.workspaces import Mount, check_path
from pyglue.host.core.audit import Audit
from pyglue.host.core.registry import Registry
from pyglue.manifest.types import Manifest
from pyglue.paths import INSIDE
from pyglue.text.display import listed, quoted

_ROOT: Final = Path("/")
_MOST: Final = 256


@dataclass(frozen=True, kw_only=True)
class Workspaces:
    """Resolves names to paths; adds and removes workspaces for the operator.

    ``addable``: the backend can bind directories that are added while hived runs.
    """

    config: HiveConfig
    audit: Audit
    registry: Registry
    addable: bool
    _added: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Read the added workspaces. Blocking.

        Raises:
            HiveError: ``config_invalid`` if the file is damaged.
        """
        with suppress(FileNotFoundError):
            data = self._file.read_bytes()
            self._added.update(
                strict_json.read(
                    data,
                    dict[str, str],
                    what=f"file {self._file}",
                    code=ErrorCode.CONFIG_INVALID,
                )
            )

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted({*self.config.workspaces, *self._added}))

    def missing(self, manifest: Manifest) -> str | None:
        """Return an error about a manifest's unknown workspaces, None without any."""
        unknown = [name for name in sorted(manifest.workspaces) if name not in self]
        if not unknown:
            return None
        plural = "s" if len(unknown) > 1 else ""
        known = listed(map(quoted, self.names))
        instead = f"its workspaces are {known}" if known else "it has none"
        return (
            f"This hive has no workspace{plural} {listed(map(quoted, unknown))}; "
            f"{instead}. The operator can add one: {self._how(unknown[0])}."
        )

    def check(self, manifest: Manifest) -> None:
        """Refuse a manifest with unknown workspaces.

        Raises:
            HiveError: ``manifest_invalid``, with the known names.
        """
        why = self.missing(manifest)
        if why is not None:
            raise HiveError(ErrorCode.MANIFEST_INVALID, why)

    def mounts(self, manifest: Manifest) -> tuple[Mount, ...]:
        """Return the host directories that a manifest mounts, ``/shared`` first.

        Raises:
            HiveError: ``not_found`` for an unknown workspace.
        """
        found = [
            Mount(
                name=None,
                source=self.config.layout.shared,
                target=INSIDE.shared,
                writable=manifest.shared == "write",
            )
        ]
        for name, one in sorted(manifest.workspaces.items()):
            if name not in self:
                why = self.missing(manifest)
                raise HiveError(ErrorCode.NOT_FOUND, why or name)
            found.append(
                Mount(
                    name=name,
                    source=self._source(name),
                    target=f"{INSIDE.work}/{name}",
                    writable=one.access == "write",
                )
            )
        return tuple(found)

    def __contains__(self, name: str) -> bool:
        return name in self.config.workspaces or name in self._added

    # --- the operator -----------------------------------------------------------------

    async def all(self, _params: NoParams) -> WorkspacesResult:
        """Return all workspaces, each with its current problem if any."""
        views = []
        for name in self.names:
            configured = self.config.workspaces.get(name)
            path = self._added[name] if configured is None else configured.path
            why = await asyncio.to_thread(problem, self._source(name))
            views.append(
                WorkspaceView(
                    name=name,
                    path=path,
                    configured=configured is not None,
                    problem=why,
                    agents=self._agents(name),
                )
            )
        return WorkspacesResult(workspaces=tuple(views))

    async def add(self, params: WorkspaceAddParams, by: str) -> None:
        """Add a directory under a name.

        Raises:
            HiveError: ``bad_request`` for a path that no workspace may have;
                ``conflict`` if the name is taken, or if workspaces can only be set in
                the host's configuration; ``too_many``; ``unavailable``.
        """
        name = params.name
        if not self.addable:
            raise HiveError(
                ErrorCode.CONFLICT,
                "On this host, workspaces are set in the NixOS configuration: set "
                f"{self._how(name)}, and run nixos-rebuild switch.",
            )
        if name in self:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"There is already a workspace {name}: choose another name, or remove "
                "it first.",
            )
        if len(self._added) >= _MOST:
            raise HiveError(
                ErrorCode.TOO_MANY, f"There are {_MOST} workspaces; remove one."
            )
        layout = self.config.layout
        path = check_path(params.path, (layout.state, layout.runtime))
        why = await asyncio.to_thread(problem, path)
        if why is not None:
            raise HiveError(ErrorCode.BAD_REQUEST, why)
        await self._keep({**self._added, name: str(path)})
        data = {"workspace": name, "path": str(path)}
        self.audit.record(by, "workspace_added", None, data)

    async def remove(self, params: WorkspaceParams, by: str) -> None:
        """Remove a name; the directory itself is unchanged.

        Raises:
            HiveError: ``not_found``; ``conflict`` if it is set in the host's
                configuration, or if a running agent uses it.
        """
        name = params.name
        if name in self.config.workspaces:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Workspace {name} is set in the host's configuration: remove "
                f"services.hyperhive.workspaces.{name} there.",
            )
        if name not in self._added:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"There is no workspace {name}: see `hive workspace list`.",
            )
        users = self._agents(name, running=True)
        if users:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"Workspace {name} is in use by {listed(users)}. Stop the agent, or "
                "deploy an agent.nix without it.",
            )
        rest = {one: path for one, path in self._added.items() if one != name}
        await self._keep(rest)
        self.audit.record(by, "workspace_removed", None, {"workspace": name})

    # --- parts ------------------------------------------------------------------------

    @property
    def _file(self) -> Path:
        return self.config.layout.workspaces

    def _how(self, name: str) -> str:
        if self.addable:
            return f"hive workspace add {name} PATH"
        return f"services.hyperhive.workspaces.{name}.path"

    def _source(self, name: str) -> Path:
        configured = self.config.workspaces.get(name)
        if configured is None:
            return Path(self._added[name])
        return Path(configured.mounted or configured.path)

    def _agents(self, name: str, *, running: bool = False) -> tuple[str, ...]:
        found = []
        for agent in self.registry.all():
            record = agent.record
            names = {} if record is None else record.typed.workspaces
            stopped = agent.state in (AgentState.STOPPED, AgentState.FAILED)
            if name in names and not (running and stopped):
                found.append(agent.name)
        return tuple(sorted(found))

    async def _keep(self, added: dict[str, str]) -> None:
        """Write the added workspaces atomically, then use them."""
        try:
            data = msgspec.json.encode(added)
            await asyncio.to_thread(write_file, self._file, data, mode=0o600)
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Cannot write {self._file}: {error.strerror}."
            ) from error
        self._added.clear()
        self._added.update(added)


def problem(path: Path) -> str | None:
    """Return why a directory cannot be opened without following links. Blocking."""
    try:
        with Folder.at(_ROOT, path):
            return None
    except HiveError:
        return (
            f"{path} is not a directory, or its path contains a symbolic link: use "
            "the directory's real path (realpath)."
        )
    except OSError as error:
        return f"Cannot open {path}: {error.strerror}."
