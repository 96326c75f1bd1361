"""What the applied repositories say: records, outcomes, and what is deployed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyglue.api.approvals import ApprovalState
from pyglue.errors import HiveError
from pyglue.files import nofollow
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.manifest.record import PinnedRecord, decode
from pyglue.names import is_name
from pyglue.paths import Layout

LOST: Final = "It was not finished when the store was lost; propose it again."
_DEPLOYED: Final = TagKind.DEPLOYED
_OUTCOMES: Final = (
    (TagKind.DEPLOYED, ApprovalState.DEPLOYED),
    (TagKind.FAILED, ApprovalState.FAILED),
    (TagKind.DENIED, ApprovalState.DENIED),
    (TagKind.CHANGES, ApprovalState.CHANGES_REQUESTED),
    (TagKind.WITHDRAWN, ApprovalState.WITHDRAWN),
    (TagKind.EXPIRED, ApprovalState.EXPIRED),
)


@dataclass(kw_only=True)
class Tagged:
    """A proposal as its tags have it; ``state`` None: they tell of no outcome."""

    commit: str
    record: PinnedRecord | None = None
    state: ApprovalState | None = None
    reason: str | None = None
    author: str = ""
    message: str = ""


@dataclass(kw_only=True)
class Repository:
    """One applied repository; ``problem``: why it cannot be read."""

    name: str
    main: str | None = None
    tagged: dict[int, Tagged] = field(default_factory=dict)
    has_files: bool = False
    problem: str | None = None


def read_all(layout: Layout) -> Mapping[str, Repository]:
    """Read every repository of an agent's name. Blocking; changes nothing."""
    found = {}
    for path in sorted(layout.applied_root.glob("*.git")):
        name = path.name.removesuffix(".git")
        if is_name(name) and (path / "HEAD").is_file():
            one = found[name] = _read(name, AppliedRepo(path))
            one.has_files = nofollow.is_folder(layout.agents, layout.agents / name)
    return found


def _read(name: str, repo: AppliedRepo) -> Repository:
    found = Repository(name=name)
    try:
        found.main = repo.main()
        kinds: dict[int, dict[TagKind, str]] = {}
        for tag in repo.tags():
            kinds.setdefault(tag.id, {})[tag.kind] = tag.commit
        ran = {one[_DEPLOYED] for one in kinds.values() if _DEPLOYED in one}
        for number, by_kind in sorted(kinds.items()):
            # main moves to what is healthy, and is tagged right after. It is there
            # before for a first commit of the host's, and for what ran before.
            moved = found.main not in ran and found.main in by_kind.values()
            found.tagged[number] = _tagged(repo, number, by_kind, moved=moved)
    except Exception as error:  # libgit2 has errors of its own
        found.problem = str(error)
    return found


def _tagged(
    repo: AppliedRepo, number: int, kinds: Mapping[TagKind, str], *, moved: bool
) -> Tagged:
    commit = kinds.get(TagKind.PROPOSAL) or next(iter(kinds.values()))
    one = repo.commit(commit)
    found = Tagged(
        commit=commit,
        author=one.author.name,
        message=one.message,
    )
    if TagKind.PROPOSAL in kinds:
        try:
            found.record = decode(
                repo.read_tag_message(TagKind.PROPOSAL, number) or b""
            )
        except HiveError:
            found.record = None
    for kind, state in _OUTCOMES:
        if kind in kinds:
            found.state = state
            if state is not ApprovalState.DEPLOYED:
                message = repo.read_tag_message(kind, number) or b""
                found.reason = message.decode("utf-8", "replace")
            return found
    if TagKind.APPROVED in kinds:
        moved = moved and bool(one.parents)
        found.state = ApprovalState.DEPLOYED if moved else ApprovalState.FAILED
        found.reason = None if moved else LOST
    return found
