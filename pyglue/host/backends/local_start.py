"""Command line, environment and sandbox of a local agent."""

import os
from dataclasses import dataclass
from typing import Final

from pyglue import paths
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.admitting import Gate
from pyglue.host.backends.base import AgentSpec
from pyglue.host.backends.workspace_binds import WorkspaceBinds, workspace_binds
from pyglue.paths import Layout
from pyglue.process import RunAs
from pyglue.sandbox import (
    Bind,
    Prepared,
    Probe,
    PythonRuntime,
    SandboxSpec,
    Support,
    prepare,
)

_PROGRAMS: Final = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    # Loose files never count as a repository: their config could run programs.
    "GIT_CONFIG_KEY_1": "safe.bareRepository",
    "GIT_CONFIG_VALUE_1": "explicit",
    # Without this, `nix-instantiate --parse` opens a store, and there is none.
    "NIX_REMOTE": "dummy://",
}


@dataclass(frozen=True, kw_only=True)
class LocalStart:
    """Starts ``program`` for an agent, with the isolation that ``probe`` found.

    ``runtime``'s interpreter runs ``program``.
    """

    layout: Layout
    program: tuple[str, ...]
    runtime: PythonRuntime
    probe: Probe

    @property
    def sandboxed(self) -> bool:
        """Whether agents run in bubblewrap."""
        return self.probe.support is Support.BWRAP

    def environment(self, spec: AgentSpec) -> dict[str, str]:
        """Return the child's environment; a sandbox clears it."""
        names = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # systemd-run's
        env = {name: os.environ[name] for name in names if name in os.environ}
        if self.sandboxed:
            return env
        home = str(self.layout.agent_state(spec.name))
        return {**env, **self.runtime.env, **_PROGRAMS, "HOME": home}

    def files(self, spec: AgentSpec, run_as: RunAs | None) -> WorkspaceBinds:
        """Return the binds of workspaces and ``/shared``. Blocking.

        Raises:
            HiveError: ``sandbox_unavailable`` if they need a sandbox.
        """
        if self.sandboxed:
            return workspace_binds(spec.mounts, run_as)
        mounts = any(one.name is not None or one.writable for one in spec.mounts)
        if mounts or spec.secrets:
            raise HiveError(
                ErrorCode.SANDBOX_UNAVAILABLE,
                f"{spec.name} has workspaces, secrets in files, or writes in /shared, "
                f"which needs bubblewrap. {self.probe.reason}",
            )
        return WorkspaceBinds()

    def prepared(
        self,
        spec: AgentSpec,
        files: WorkspaceBinds,
        run_as: RunAs | None,
        gate: Gate | None,
    ) -> Prepared:
        """Return the command line and the descriptors to pass.

        With ``gate``, the program is delayed until the host has made its mounts.
        """
        argv = (*self.runtime.argv, *self.program)
        if gate is not None:
            argv = (*gate.prefix, *argv)
        if self.sandboxed:
            sandbox = self._sandbox(spec, files)
            return prepare(sandbox, argv, run_as=run_as)
        layout = self.layout
        # It exists only for the manager: so the harness knows its role.
        none = str(layout.run(spec.name) / "none")
        flags = (
            *("--run-dir", str(layout.run(spec.name))),
            *("--state", str(layout.agent_state(spec.name))),
            *("--session", str(layout.session(spec.name))),
            *("--agents", str(layout.agents) if spec.manager else none),
        )
        return Prepared((*argv, *flags))

    def _sandbox(self, spec: AgentSpec, files: WorkspaceBinds) -> SandboxSpec:
        layout, inside = self.layout, paths.INSIDE
        top = layout.state
        binds = [
            *self.runtime.binds,
            Bind(source=layout.run(spec.name), target=inside.run),
            Bind(
                source=layout.agent_state(spec.name),
                target=inside.state,
                writable=True,
                below=top,
            ),
            Bind(
                source=layout.session(spec.name),
                target=inside.session,
                writable=True,
                below=top,
            ),
            *files.binds,
        ]
        if spec.manager:
            # Read-only; writable directories are mounted one by one.
            agents = Bind(source=layout.agents, target=inside.agents, below=top)
            binds += [agents, Bind(source=layout.applied_root, target=inside.applied)]
        return SandboxSpec(
            binds=tuple(binds),
            env={**self.runtime.env, **_PROGRAMS, "HOME": inside.state},
            chdir=inside.state,
            network=spec.network,
            certificates=spec.egress,
            memory=(inside.secrets,) if spec.secrets else (),
            hostname=spec.name,
            home=inside.state,
        )
