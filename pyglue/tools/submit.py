"""Sends a commit of an agent's repository to hived, as a pack in chunks.

Runs beside the manager, in its sandbox: hived never opens a repository that an
agent can write. Git runs with no configuration but its own repository's, without
hooks, and packs what ``main`` lacks. The agent's name and the commit are checked
before they come near a path or a command. Called by the ``request_apply_commit``
tool.
"""

import asyncio
import contextlib
import os
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from pathlib import Path
from typing import Final, TypeVar

from pyglue import names
from pyglue.api.common import Params
from pyglue.api.manager import (
    CHUNK_LIMIT,
    PACK_LIMIT,
    SUBMIT_BEGIN,
    SUBMIT_CHUNK,
    SUBMIT_COMMIT,
    ProposalResult,
    SubmitBeginParams,
    SubmitChunkParams,
    SubmitCommitParams,
)
from pyglue.errors import ErrorCode, HiveError
from pyglue.tools.tool import CALL_TIMEOUT_S, Caller

T = TypeVar("T")

EVALUATION_S: Final = 900.0
"""Longest wait for an evaluation; hived's own limits come earlier."""

_GIT_S: Final = 120.0
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class ApplyCommit(Params, frozen=True):
    """The arguments of ``request_apply_commit``."""

    agent: str
    commit: str
    description: str = ""


async def submit(caller: Caller, agents: Path, request: ApplyCommit) -> ProposalResult:
    """Pack the commit, send it and return the proposal that now waits.

    Raises:
        HiveError: ``invalid_name``, ``invalid_commit``, ``not_found``, ``too_large``,
            ``invalid_pack`` from here; whatever hived refuses the proposal with.
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
            agent=request.agent, commit=commit, description=request.description
        ),
        timeout=CALL_TIMEOUT_S,
    )
    wanted = f"{commit}\n"
    main = begun.main
    if main and _COMMIT.fullmatch(main) and await _has(repository, main):
        wanted += f"^{main}\n"
    async with contextlib.aclosing(_pack(repository, wanted)) as chunks:
        async for chunk in chunks:
            await caller.call(
                SUBMIT_CHUNK,
                SubmitChunkParams(upload=begun.upload, data=chunk),
                timeout=CALL_TIMEOUT_S,
            )
    return await caller.call(
        SUBMIT_COMMIT, SubmitCommitParams(upload=begun.upload), timeout=EVALUATION_S
    )


async def _has(repository: Path, commit: str) -> bool:
    process = await _git(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    async with _ending(process):
        await _in_time(process.communicate())
    return process.returncode == 0


async def _pack(repository: Path, wanted: str) -> AsyncGenerator[bytes, None]:
    """Yield the pack of the revisions ``wanted``, in pieces that a call may carry."""
    process = await _git(
        repository, "pack-objects", "--revs", "--stdout", "-q", "--threads=1"
    )
    async with _ending(process):
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise AssertionError("git was started with pipes")
        errors = asyncio.ensure_future(process.stderr.read(65536))
        with contextlib.suppress(ConnectionError):  # git's own words come below
            process.stdin.write(wanted.encode())
            process.stdin.write_eof()
        total = 0
        while chunk := await _in_time(_read(process.stdout)):
            total += len(chunk)
            if total > PACK_LIMIT:
                raise HiveError(
                    ErrorCode.TOO_LARGE,
                    f"The commit needs a pack of more than {PACK_LIMIT >> 20} MiB. "
                    "Keep large files out of an agent's repository.",
                )
            yield chunk
        if await _in_time(process.wait()) != 0:
            said = (await errors).decode(errors="replace").strip()[-500:]
            raise HiveError(
                ErrorCode.INVALID_PACK, f"git could not pack the commit: {said}"
            )


async def _read(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readexactly(CHUNK_LIMIT)
    except asyncio.IncompleteReadError as end:
        return end.partial


async def _git(repository: Path, *arguments: str) -> Process:
    environment = {**_ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}
    try:
        return await asyncio.create_subprocess_exec(
            "git",
            "-C",
            str(repository),
            *arguments,
            stdin=PIPE if arguments[0] == "pack-objects" else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
        )
    except FileNotFoundError:
        raise HiveError(
            ErrorCode.MISSING_PROGRAM, "git is not installed here."
        ) from None


async def _in_time(waiting: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(waiting, _GIT_S)
    except TimeoutError:
        raise HiveError(
            ErrorCode.TIMEOUT, f"git did nothing for {_GIT_S:g} seconds."
        ) from None


@contextlib.asynccontextmanager
async def _ending(process: Process) -> AsyncIterator[None]:
    """Leave no git behind."""
    try:
        yield
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
