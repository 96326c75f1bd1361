"""A rebuild from tags and the log: nothing unknown runs."""

import json
from pathlib import Path

import pytest

from checks.kits.manifest.smallest import MANIFEST
from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.errors import ErrorCode, HiveError
from pyglue.git.host_commits import commit_files, seed_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.host.rebuild import audit_history, main, repositories
from pyglue.host.rebuild.plan import UNDECIDED, Plan, plan
from pyglue.host.rebuild.repositories import LOST
from pyglue.manifest.record import PinnedRecord
from pyglue.paths import Layout

RECORD = PinnedRecord(MANIFEST, None)


class Files:
    """A state directory without a store."""

    def __init__(self, room: Path) -> None:
        self.layout = Layout(room, room / "run")
        self.layout.applied_root.mkdir()
        self.log: list[dict[str, object]] = []

    def repo(self, name: str) -> AppliedRepo:
        return AppliedRepo.create(self.layout.applied(name))

    def propose(self, name: str, number: int, *kinds: TagKind) -> str:
        """Commit on main, and tag it so."""
        repo = self.repo(name)
        text = f"# {number}".encode()
        files = {"agent.nix": text}
        commit = commit_files(repo, files, message="m") if repo.main() else None
        commit = commit or seed_main(repo, files, message="m")
        repo.tag(TagKind.PROPOSAL, number, commit, RECORD.encode())
        for kind in kinds:
            if kind is TagKind.DEPLOYED:
                repo.advance_main(commit, repo.main())
            repo.tag(kind, number, commit, b"why" if kind in _TOLD else None)
        return commit

    def line(self, what: str, agent: str | None, **data: object) -> None:
        at = float(len(self.log) + 1)
        one = {"at": at, "who": "cli", "what": what, "agent": agent, "data": data}
        self.log.append(one)

    def plan(self) -> Plan:
        lines = [json.dumps(line).encode() for line in self.log]
        history = audit_history.fold(lines)
        return plan(repositories.read_all(self.layout), history, 100.0)


_TOLD = (
    *(TagKind.FAILED, TagKind.DENIED, TagKind.CHANGES),
    *(TagKind.WITHDRAWN, TagKind.EXPIRED),
)
DEPLOYED = (TagKind.APPROVED, TagKind.BUILDING, TagKind.DEPLOYED)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_without_a_log_agents_are_stopped(files: Files) -> None:
    files.propose("alice", 1, *DEPLOYED)
    commit = files.propose("alice", 2, *DEPLOYED)
    made = files.plan()
    (alice,) = made.agents
    assert alice.row is not None
    assert (alice.row.id, alice.row.commit) == (2, commit)
    assert alice.row.record == RECORD
    assert not alice.wanted
    assert "hive start alice" in made.notes[0]


@pytest.mark.parametrize(
    ("kinds", "state", "reason"),
    [
        ((TagKind.DENIED,), ApprovalState.DENIED, "why"),
        ((TagKind.CHANGES,), ApprovalState.CHANGES_REQUESTED, "why"),
        ((TagKind.WITHDRAWN,), ApprovalState.WITHDRAWN, "why"),
        ((TagKind.EXPIRED,), ApprovalState.EXPIRED, "why"),
        ((TagKind.APPROVED, TagKind.FAILED), ApprovalState.FAILED, "why"),
        ((TagKind.APPROVED, TagKind.BUILDING), ApprovalState.FAILED, LOST),
        ((), ApprovalState.EXPIRED, UNDECIDED),
        (DEPLOYED, ApprovalState.DEPLOYED, None),
    ],
)
def test_tags_say_how_it_ended(
    files: Files, kinds: tuple[TagKind, ...], state: ApprovalState, reason: str | None
) -> None:
    files.propose("alice", 1, *DEPLOYED)
    files.propose("alice", 2, *kinds)
    _, two = files.plan().approvals
    assert (two.state, two.reason) == (state, reason)
    assert two.kind is ApprovalKind.CHANGE


def test_main_that_moved_is_a_deploy_whose_tag_is_missing(files: Files) -> None:
    files.propose("alice", 1, *DEPLOYED)
    commit = files.propose("alice", 2, TagKind.APPROVED, TagKind.BUILDING)
    repo = files.repo("alice")
    repo.advance_main(commit, repo.main())
    made = files.plan()
    assert [row.state for row in made.approvals] == [ApprovalState.DEPLOYED] * 2
    assert made.agents[0].row is made.approvals[1]


def test_the_log_says_what_was_deployed_last(files: Files) -> None:
    commit = files.propose("alice", 1, *DEPLOYED)
    repo = files.repo("alice")
    for number in (2, 3):  # rebuilds: the same commit, and 2 came last
        repo.tag(TagKind.PROPOSAL, number, commit, RECORD.encode())
        for kind in DEPLOYED:
            repo.tag(kind, number, commit)
    for number in (1, 3, 2):
        files.line("deployed", "alice", approval=number)
    (alice,) = files.plan().agents
    assert alice.row is not None
    assert alice.row.id == 2
    assert alice.wanted


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["stop_requested"], False),
        (["stop_requested", "start_requested"], True),
        (["stop_requested", "restart_requested"], True),
        ([], True),
    ],
)
def test_what_should_run(files: Files, lines: list[str], *, wanted: bool) -> None:
    files.propose("alice", 1, *DEPLOYED)
    files.line("deployed", "alice", approval=1)
    for what in lines:
        files.line(what, "alice", operation=1)
    (alice,) = files.plan().agents
    assert alice.wanted is wanted


def test_pauses_models_and_accounts_hold(files: Files) -> None:
    files.propose("alice", 1, *DEPLOYED)
    files.line("deployed", "alice", approval=1)
    files.line("pause", "alice", reason="no")
    files.line("model", "alice", model="claude-x", before="y")
    files.line("account", "alice", account="team", before="default")
    files.line("pause_all", None, reason="stop")
    made = files.plan()
    (alice,) = made.agents
    assert alice.paused is not None
    assert alice.paused.text == "no"
    assert alice.model is not None
    assert alice.model[0] == "claude-x"
    assert alice.account == "team"
    assert made.hive_paused is not None
    files.line("resume", "alice")
    files.line("resume_all", None)
    files.line("account", "alice", account=None, before="team")
    made = files.plan()
    assert (made.agents[0].paused, made.hive_paused) == (None, None)
    assert made.agents[0].account is None


def test_destroyed_and_unknown_files_are_kept(files: Files) -> None:
    files.propose("gone", 1, *DEPLOYED)
    files.line("deployed", "gone", approval=1)
    files.line("destroyed", "gone", operation=2)
    files.propose("never", 2)
    made = files.plan()
    assert made.agents == []
    assert {one.name: one.row and one.row.id for one in made.kept} == {
        "gone": 1,
        "never": None,
    }


def test_a_draft_stays_one(files: Files) -> None:
    files.propose("soon", 1)
    (files.layout.agents / "soon").mkdir(parents=True)
    files.line("draft_created", "soon")
    assert files.plan().drafts["soon"].by == "cli"


def test_numbers_that_only_the_log_has_stay_as_rows(files: Files) -> None:
    files.line("proposed", "x", approval=4, commit="a" * 40, manifest="b" * 64)
    files.line("denied", "x", approval=4, reason="no")
    (row,) = files.plan().approvals
    assert (row.id, row.state, row.record) == (4, ApprovalState.DENIED, None)


def test_lines_that_are_none_are_passed_over(files: Files) -> None:
    files.propose("alice", 1, *DEPLOYED)
    files.line("proposed", "alice", approval="4", commit=7)
    files.line("deployed", "alice", approval=True)
    files.line("pause", "alice", reason={})
    lines = [b"no", b"{}", *(json.dumps(line).encode() for line in files.log)]
    made = plan(repositories.read_all(files.layout), audit_history.fold(lines), 1.0)
    assert [agent.name for agent in made.agents] == ["alice"]


def test_nothing_to_rebuild_from(tmp_path: Path) -> None:
    with pytest.raises(HiveError, match="nothing to rebuild") as refused:
        main.run(tmp_path, apply=True)
    assert refused.value.code is ErrorCode.NOT_FOUND
    with pytest.raises(HiveError, match="Name it with --state"):
        main.run(tmp_path / "none", apply=True)
