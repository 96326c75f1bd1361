"""Sends a commit of an agent's repository to hived, as a pack in chunks.

Runs beside the manager, in its sandbox: hived never opens a repository that an agent
can write. Git runs with the configuration of the repository only, without hooks, and
packs what ``main`` does not have. The agent's name and the commit are checked before
they become part of a path or a command. Called by the tools ``request_apply_commit``
and ``request_spawn_commit``.
"""

import asyncio
import os
import re
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from pyglue import names, process
from pyglue.api.common import Params
from pyglue.api.manager import (
    CHUNK_LIMIT,
    PACK_LIMIT,
    SUBMIT_BEGIN,
    SUBMIT_CHUNK,
    SUBMIT_COMMIT,
    Commit,
    Description,
    Named,
    NewName,
    ProposalResult,
    SubmitBeginParams,
    SubmitChunkParams,
    SubmitCommitParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import Completed
from pyglue.text.display import listed, quoted
from pyglue.tools.tool import CALL_TIMEOUT_S, Caller

EVALUATION_S: Final = 900.0
"""Longest wait for an evaluation; hived's own limits are shorter."""

_GIT_S: Final = 120.0
_NAMED: Final = 10
"""Uncommitted files that are named."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "4",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
    "GIT_CONFIG_KEY_2": "safe.bareRepository",
    "GIT_CONFIG_VALUE_2": "explicit",
    "GIT_CONFIG_KEY_3": "core.fsmonitor",
    "GIT_CONFIG_VALUE_3": "false",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class ApplyCommit(Params, frozen=True):
    """The arguments of ``request_apply_commit``."""

    agent: Named
    commit: Commit
    description: Description = ""


class SpawnCommit(Params, frozen=True):
    """The arguments of ``request_spawn_commit``."""

    name: NewName
    commit: Commit
    description: Description = ""


async def submit_spawn(
    caller: Caller, agents: Path, request: SpawnCommit
) -> ProposalResult:
    """Submit the commit with which a draft becomes an agent.

    Raises:
        HiveError: as ``submit``.
    """
    asked = ApplyCommit(
        agent=request.name, commit=request.commit, description=request.description
    )
    return await submit(caller, agents, asked, spawn=True)


async def submit(
    caller: Caller, agents: Path, request: ApplyCommit, *, spawn: bool = False
) -> ProposalResult:
    """Pack the commit, send it and return the pending proposal.

    Raises:
        HiveError: ``invalid_name``, ``invalid_commit``, ``not_found``, ``too_large``,
            ``invalid_pack`` from here; any error with which hived refuses it.
    """
    repository = agents / names.check(request.agent) / "config"
    commit = request.commit
    if not _COMMIT.fullmatch(commit):
        raise HiveError(
            ErrorCode.INVALID_COMMIT,
            "Give the commit's full id, 40 hexadecimal digits as 'git rev-parse HEAD' "
            "prints it; branch and tag names are not taken.",
        )
    if not await asyncio.to_thread(repository.is_dir):
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no repository at {repository}.")
    if not await _has(repository, commit):
        raise HiveError(
            ErrorCode.INVALID_COMMIT,
            f"{repository} holds no commit {commit}. Commit first, then give the id "
            "that 'git rev-parse HEAD' prints.",
        )
    begun = await caller.call(
        SUBMIT_BEGIN,
        SubmitBeginParams(
            agent=request.agent,
            commit=commit,
            description=request.description,
            spawn=spawn,
        ),
        timeout=CALL_TIMEOUT_S,
    )
    main = begun.main if begun.main and _COMMIT.fullmatch(begun.main) else None
    pack = await _pack(repository, commit, main)
    for begin in range(0, len(pack), CHUNK_LIMIT):
        await caller.call(
            SUBMIT_CHUNK,
            SubmitChunkParams(
                upload=begun.upload, data=pack[begin : begin + CHUNK_LIMIT]
            ),
            timeout=CALL_TIMEOUT_S,
        )
    result, left = await asyncio.gather(
        caller.call(
            SUBMIT_COMMIT, SubmitCommitParams(upload=begun.upload), timeout=EVALUATION_S
        ),
        _uncommitted(repository),
    )
    return result if left is None else replace(result, notes=(*result.notes, left))


async def _uncommitted(repository: Path) -> str | None:
    """List the files of the working tree that differ from the commit."""
    try:
        done = await _git(repository, b"", "status", "--porcelain", "-z")
    except HiveError:
        return None  # it has been proposed anyway
    entries = [
        e for e in done.stdout.decode(errors="replace").split("\0") if e[2:3] == " "
    ]
    if done.code != 0 or not entries:
        return None
    names = [quoted(entry[3:], limit=80) for entry in entries[:_NAMED]]
    more = [f"{len(entries) - _NAMED} more"] if len(entries) > _NAMED else []
    return (
        f"Not part of the proposal, because not committed: {listed([*names, *more])}. "
        "If they belong to it, commit them and propose that commit."
    )


async def _has(repository: Path, commit: str) -> bool:
    done = await _git(repository, b"", "cat-file", "-e", f"{commit}^{{commit}}")
    return done.code == 0


async def _pack(repository: Path, commit: str, main: str | None) -> bytes:
    """Return the pack of what ``main`` does not have; it may be unknown here."""
    wanted = f"{commit}\n"
    try:
        done = await _pack_objects(repository, wanted + (f"^{main}\n" if main else ""))
        if done.code != 0 and main and not await _has(repository, main):
            done = await _pack_objects(repository, wanted)
    except HiveError as error:
        if error.code is not ErrorCode.TOO_LARGE:
            raise
        raise HiveError(
            ErrorCode.TOO_LARGE,
            f"The commit needs a pack of more than {PACK_LIMIT >> 20} MiB. Keep large "
            "files out of an agent's repository.",
        ) from error
    if done.code != 0:
        errors = done.stderr.decode(errors="replace").strip()[-500:]
        raise HiveError(
            ErrorCode.INVALID_PACK, f"git could not pack the commit: {errors}"
        )
    return done.stdout


async def _pack_objects(repository: Path, wanted: str) -> Completed:
    options = ("--revs", "--stdout", "-q", "--threads=1")
    return await _git(repository, wanted.encode(), "pack-objects", *options)


async def _git(repository: Path, stdin: bytes, *arguments: str) -> Completed:
    path = os.environ.get("PATH", os.defpath)
    return await process.run(
        ["git", "-C", str(repository), *arguments],
        env={**_ENVIRONMENT, "PATH": path},
        stdin=stdin,
        timeout=_GIT_S,
        max_output=PACK_LIMIT,
    )
