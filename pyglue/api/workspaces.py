"""Workspaces: directories of the host that agents can use by name."""

from typing import Annotated

from msgspec import Meta

from pyglue.api.common import Params, Result
from pyglue.files.workspaces import NAME_PATTERN

WorkspaceName = Annotated[str, Meta(pattern=NAME_PATTERN)]
"""Such as ``site``."""


class WorkspaceParams(Params, frozen=True):
    """Names a workspace."""

    name: WorkspaceName


class WorkspaceAddParams(Params, frozen=True):
    """A new workspace and its directory on the host."""

    name: WorkspaceName
    path: Annotated[str, Meta(max_length=4096)]


class WorkspaceView(Result, frozen=True):
    """A workspace; ``configured`` if the host's configuration names it.

    ``problem`` is why it cannot be used now. ``agents`` are those whose deployed
    manifests name it.
    """

    name: str
    path: str
    configured: bool
    problem: str | None
    agents: tuple[str, ...]


class WorkspacesResult(Result, frozen=True):
    """All workspaces, by name."""

    workspaces: tuple[WorkspaceView, ...]
