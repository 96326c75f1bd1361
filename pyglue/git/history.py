"""Exporting an applied repository: its history as a pack, its refs as text.

Used by exports and backups. An exported agent takes only its main along: proposals and
their numbers belong to the hive that it leaves. Blocking.
"""

from collections.abc import Callable
from pathlib import Path

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.run import run_git
from pyglue.git.tags import REF_PREFIX, TagKind, parse_name
from pyglue.git.verdict import MIB, PackLimits

_PACK_S = 600.0
MAIN = "refs/heads/main"
HISTORY_LIMITS = PackLimits(
    max_pack_bytes=256 * MIB,
    max_objects=200_000,
    max_new_bytes=512 * MIB,
    max_commits=10_000,
    cpu_seconds=120,
    wall_seconds=300.0,
)
"""Limits for the whole history of an agent; its files are limited as in a proposal."""


def pack_history(applied: AppliedRepo, commit: str, directory: Path) -> Path:
    """Write what is reachable from ``commit`` to one pack in ``directory``; return it.

    ``directory`` belongs to the host and may be on another file system.
    """
    run_git(
        ["pack-objects", "--quiet", "--revs", str(directory.absolute() / "history")],
        git_dir=applied.path,
        stdin=f"{commit}\n".encode("ascii"),
        timeout=_PACK_S,
        durable=False,
    )
    (pack,) = directory.glob("history-*.pack")
    return pack


def packed_refs(
    applied: AppliedRepo, main: str | None, wanted: Callable[[TagKind, int], bool]
) -> bytes:
    """Return the ``packed-refs`` of a copy: ``main``, and only the tags ``wanted``.

    Raises:
        HiveError: ``not_found`` if ``main`` is not here.
    """
    if main is not None:
        applied.commit(main)
    lines = [] if main is None else [(MAIN, main)]
    with applied.open() as repo:
        for ref in repo.references.iterator():
            parsed = parse_name(ref.name.removeprefix(REF_PREFIX))
            ours = ref.name.startswith(REF_PREFIX) and parsed is not None
            if ours and parsed is not None and wanted(*parsed):
                lines.append((ref.name, str(ref.target)))
    return b"".join(f"{sha} {name}\n".encode("ascii") for name, sha in sorted(lines))


def delete_tag(applied: AppliedRepo, kind: TagKind, number: int) -> None:
    """Delete one of the host's tags; it is no error if it does not exist."""
    name = f"{REF_PREFIX}{kind.value}/{number}"
    run_git(["update-ref", "--no-deref", "-d", name], git_dir=applied.path)


def move_main(applied: AppliedRepo, new: str, old: str | None) -> None:
    """Move main from ``old`` to ``new``, in any direction: a manual repair.

    Raises:
        HiveError: ``not_found``; ``conflict`` if main is no longer ``old``.
    """
    applied.commit(new)
    ran = run_git(
        ["update-ref", "--no-deref", MAIN, new, old or "0" * 40],
        git_dir=applied.path,
        check=False,
    )
    if ran.code != 0:
        raise HiveError(ErrorCode.CONFLICT, "main has moved. Review it again.")
