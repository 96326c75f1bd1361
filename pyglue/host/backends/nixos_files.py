"""A container's files on the host: conf file, record, limits, bound directories.

Used by the ``nixos-container`` backend. Everything blocks: call it in a thread. All
paths consist of the configuration's directories and a checked name.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.config import HiveConfig, NixosConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.directory import Folder
from pyglue.files.replace import write_file
from pyglue.files.workspaces import Mount
from pyglue.host.backends import addresses, dropin, nspawn_conf
from pyglue.host.backends.base import AgentSpec
from pyglue.host.backends.ownership import Ownership
from pyglue.host.backends.workspace_binds import need_writable_by_others, owner_of, what
from pyglue.names import is_name
from pyglue.nix.hoststore import check_path
from pyglue.paths import INSIDE
from pyglue.sandbox.sources import open_source

PREFIX: Final = "h-"
SYSTEMS_KEPT: Final = 3


@dataclass(frozen=True, kw_only=True)
class HostPlaces:
    """NixOS's directories of containers; tests use others."""

    confs: Path = Path("/etc/nixos-containers")
    profiles: Path = Path("/nix/var/nix/profiles/per-container")
    units: Path = Path("/run/systemd/system")
    roots: Path = Path("/var/lib/nixos-containers")


def container_of(agent: str) -> str:
    """Return the name of an agent's container."""
    return f"{PREFIX}{agent}"


def unit_of(agent: str) -> str:
    """Return the systemd unit of an agent's container."""
    return f"container@{PREFIX}{agent}.service"


class ContainerFiles:
    """Writes, reads and recognises these files."""

    def __init__(
        self, config: HiveConfig, nixos: NixosConfig, places: HostPlaces
    ) -> None:
        """Check the configuration that goes into them.

        Raises:
            HiveError: ``config_invalid``.
        """
        self._layout = config.layout
        self._places = places
        self._users = nspawn_conf.check_private_users(nixos.private_users)
        self._agent = None if config.ids is None else config.ids.agent
        self._ranges = addresses.check_ranges(nixos.network_ranges)
        for place in (self._layout.state, self._layout.runtime):
            nspawn_conf.plain(place)
        self.own = Ownership(self._layout)

    def root(self, spec: AgentSpec) -> Path:
        """Return the GC root of a record's built system."""
        drv = Path(check_path(spec.system or "")).name
        return self.own.systems(spec.name) / drv.removesuffix(".drv")

    def profile(self, agent: str) -> Path:
        """Return the Nix profile of an agent's systems."""
        return self._places.profiles / container_of(agent) / "system"

    def exists(self, agent: str) -> bool:
        """Return whether a container of that name exists, whoever created it."""
        return self._found(agent) is not None

    def is_ours(self, agent: str) -> bool:
        """Return whether the container exists and this hive created it."""
        found = self._found(agent)
        return found is not None and self._ours(agent, found)

    def claim(self, agent: str) -> bool:
        """Claim the container's name for this hive; return whether it already exists.

        Raises:
            HiveError: ``name_taken`` if it is not this hive's.
        """
        found = self._found(agent)
        if found is not None and not self._ours(agent, found):
            container = container_of(agent)
            raise HiveError(
                ErrorCode.NAME_TAKEN,
                f"This host has a container {container} that does not belong to this "
                f"hive. Remove it (nixos-container destroy {container}), or choose "
                "another name for the agent.",
            )
        self.own.claim(agent)
        return found is not None

    def check_sources(self, spec: AgentSpec) -> None:
        """Check that the directories to be bound are the hive's own.

        Raises:
            HiveError: ``not_found``; ``forbidden`` if one was replaced by a link.
        """
        workspaces = {mount.source: mount for mount in spec.mounts if mount.name}
        for bind in self._binds(spec):
            below = self._layout.state if bind.writable else None
            if bind.source not in workspaces:
                os.close(open_source(bind.source, below))
        for mount in workspaces.values():
            _need_mounted(mount)
            need_writable_by_others(mount, owner_of(mount))

    def write(self, spec: AgentSpec, system: str) -> bool:
        """Write all files; return whether systemd must reload.

        Raises:
            HiveError: ``config_invalid``; ``unavailable`` without a free address;
                ``deploy_failed`` without write permission.
        """
        container = container_of(spec.name)
        pair = None
        if spec.network:
            confs = nspawn_conf.read_all(self._places.confs)
            pair = addresses.allocate(confs, container, self._ranges)
        conf = nspawn_conf.Conf(
            hive=self._layout.state,
            system=system,
            private_users=self._users,
            binds=self._binds(spec),
            network=pair,
        )
        root = self._places.roots / container
        self._make_targets(root, conf.binds)
        limits = dropin.text(
            root, spec.memory_max, spec.cpu_quota, network=spec.network
        )
        try:
            write_file(self._places.confs / f"{container}.conf", conf.text().encode())
            write_file(self._record(spec.name), spec.record)
            self.own.keep_newest(spec.name, SYSTEMS_KEPT)
            return dropin.write(self._places.units, unit_of(spec.name), limits)
        except OSError as error:
            raise HiveError(
                ErrorCode.DEPLOY_FAILED,
                f"Cannot write {error.filename}: {error.strerror}. hived needs write "
                "access to the directory of NixOS containers.",
            ) from error

    def _make_targets(
        self, root: Path, binds: tuple[nspawn_conf.IdmapBind, ...]
    ) -> None:
        """Create the mount points, whose owners determine the owners of the files."""
        owned = [bind for bind in binds if bind.owners is nspawn_conf.Owners.OWNER]
        if not owned or self._agent is None:
            return
        first = 0 if self._users == "pick" else int(self._users)
        root.mkdir(mode=0o755, exist_ok=True)
        for bind in owned:
            above, name = Path(bind.target).parent.name, Path(bind.target).name
            with (
                Folder.at(root.parent, root) as top,
                top.folder(above, make=0o755) as folder,
                folder.folder(name, make=0o755) as target,
            ):
                folder.set_mode(0o755)  # whatever hived's umask
                target.set_mode(0o755)
                target.give((first + self._agent, first + self._agent))

    def clear_root(self, agent: str) -> None:
        """Remove subvolumes, which ``nixos-container destroy`` leaves behind."""
        shutil.rmtree(self._places.roots / container_of(agent), ignore_errors=True)

    def forget(self, agent: str) -> bool:
        """Remove hived's files; return whether systemd must reload."""
        self.own.release(agent)
        return dropin.remove(self._places.units, unit_of(agent))

    def holds(self, spec: AgentSpec) -> bool:
        """Return whether the files match this record and its system."""
        found = self._found(spec.name)
        if spec.system is None or found is None or not self._ours(spec.name, found):
            return False
        try:
            built = str(self.root(spec).readlink())
            record = self._record(spec.name).read_bytes()
        except OSError:
            return False
        return record == spec.record and found.get("SYSTEM_PATH") == built

    def strangers(self) -> tuple[str, ...]:
        """Return a sentence about each foreign container with a name of this hive's."""
        found = []
        for conf in nspawn_conf.read_all(self._places.confs):
            agent = conf.container.removeprefix(PREFIX)
            if agent == conf.container:
                continue
            if not is_name(agent) or not self._ours(agent, conf):
                found.append(
                    f"The container {conf.container[:40]!a} is named like one of this "
                    "hive, but does not belong to it. It is left alone."
                )
        return tuple(found)

    def left_behind(self, names: frozenset[str]) -> tuple[str, ...]:
        """Return the agents of this hive's containers, except ``names``."""
        found = []
        for conf in nspawn_conf.read_all(self._places.confs):
            agent = conf.container.removeprefix(PREFIX)
            ours = agent != conf.container and is_name(agent)
            if ours and agent not in names and self._ours(agent, conf):
                found.append(agent)
        return tuple(found)

    def _found(self, agent: str) -> nspawn_conf.Found | None:
        return nspawn_conf.read(self._places.confs, container_of(agent))

    def _ours(self, agent: str, found: nspawn_conf.Found) -> bool:
        # A claim comes first: hived may crash between ``create`` and our own conf.
        return found.made_by(self._layout.state) or self.own.claimed(agent)

    def _record(self, agent: str) -> Path:
        return self._layout.run(agent) / Path(INSIDE.manifest).name

    def _binds(self, spec: AgentSpec) -> tuple[nspawn_conf.IdmapBind, ...]:
        layout, bind = self._layout, nspawn_conf.IdmapBind
        binds = [
            bind(source=layout.run(spec.name), target=INSIDE.run),
            bind(
                source=layout.agent_state(spec.name), target=INSIDE.state, writable=True
            ),
            bind(
                source=layout.session(spec.name), target=INSIDE.session, writable=True
            ),
        ]
        binds += map(self._file_bind, spec.mounts)
        if spec.manager:
            binds.append(
                bind(source=layout.agents, target=INSIDE.agents, writable=True)
            )
            binds.append(bind(source=layout.applied_root, target=INSIDE.applied))
        return tuple(binds)

    @staticmethod
    def _file_bind(mount: Mount) -> nspawn_conf.IdmapBind:
        """Return a workspace's bind, as its owner's files, but never as root's."""
        owners = nspawn_conf.Owners.SAME
        if mount.name is not None:
            root = owner_of(mount)[0] == 0
            owners = nspawn_conf.Owners.NONE if root else nspawn_conf.Owners.OWNER
        return nspawn_conf.IdmapBind(
            source=mount.source,
            target=mount.target,
            writable=mount.writable,
            owners=owners,
        )


def _need_mounted(mount: Mount) -> None:
    """Refuse a directory that the host has not mounted as configured.

    Its unit sets ``nosuid,nodev`` in a second step, which does not propagate to hived's
    mounts, so hived can only check that something is mounted there.

    Raises:
        HiveError: ``unavailable``, with the unit to examine.
    """
    if _mount_id(mount.source) == _mount_id(mount.source.parent):
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"{what(mount)} is not mounted. Does its path exist, without a link in it? "
            f"See `systemctl status {mount.source}`; then start that and the agent.",
        )


def _mount_id(path: Path) -> str:
    """Return the kernel's ID of the mount that contains ``path``."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)
    return text.partition("mnt_id:")[2].split()[0]
