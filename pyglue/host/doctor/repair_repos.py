"""Inconsistencies of an agent's repository with the store, and their repair.

Tags are the source of truth for content, the store for queue and status; ``main`` is
the deployed commit. An approval is never undone: a deployment that the store lost is
repeated, with all its checks. An unapproved commit is not left on main.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.errors import HiveError
from pyglue.git.history import delete_tag, move_main
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import Tag, TagKind
from pyglue.host.changes.pinning import OPERATIONS
from pyglue.host.core.operations import Operations
from pyglue.host.doctor.finding import Finding
from pyglue.host.rebuild.plan import row_of
from pyglue.host.rebuild.write import insert
from pyglue.names import SYSTEM
from pyglue.paths import Layout
from pyglue.store import approvals as rows
from pyglue.store.agreement import Decision, Snapshot
from pyglue.store.database import Store

_BEGUN: Final = frozenset({ApprovalState.APPROVED, ApprovalState.BUILDING})
_UNDONE: Final = _BEGUN | {ApprovalState.FAILED}
_GONE: Final = "Its commit is missing from the repository; propose it again."
_LOST: Final = "Its operation was lost; propose it again."


@dataclass(frozen=True, kw_only=True)
class RepoRepair:
    """Examines one repository at a time."""

    store: Store
    operations: Operations
    layout: Layout

    async def look(self, name: str, snapshot: Snapshot) -> list[Finding]:
        """Return the inconsistencies of an agent, a draft or kept state."""
        repo = AppliedRepo(self.layout.applied(name))
        if not await asyncio.to_thread((repo.path / "HEAD").is_file):
            if name not in snapshot.agents:
                return []
            gone = (
                f"{name} has no repository ({repo.path}): its deployed commits are "
                "lost. Restore the repository from a backup, or destroy and purge "
                "the agent."
            )
            return [Finding(agent=name, says=gone)]
        try:
            tags, main = await asyncio.to_thread(lambda: (repo.tags(), repo.main()))
        except Exception as error:  # libgit2 has its own errors
            broken = f"Cannot read the repository of {name}: {error}. Restore it"
            return [Finding(agent=name, says=f"{broken} from a backup.")]
        found = await self._strange_tags(name, repo, tags, snapshot)
        again = self._lost_deploy(name, repo, tags, main, snapshot)
        found += again or self._main(name, repo, main, snapshot)
        found += self._missing_tags(name, repo, tags, snapshot)
        if not again:
            found += self._without_operation(name, snapshot)
        return found

    # --- tags without rows ------------------------------------------------------------

    async def _strange_tags(
        self, name: str, repo: AppliedRepo, tags: tuple[Tag, ...], snapshot: Snapshot
    ) -> list[Finding]:
        """Find tags of approvals that the store lacks or assigns to another agent."""
        strange: dict[int, list[Tag]] = {}
        for tag in tags:
            row = snapshot.approvals.get(tag.id)
            if row is None or row.agent != name:
                strange.setdefault(tag.id, []).append(tag)
        found = []
        for number, its in strange.items():
            if all(tag.kind is TagKind.PROPOSAL for tag in its):
                found.append(self._came_to_nothing(name, repo, its[0]))
            else:
                other = snapshot.approvals.get(number)
                found.append(await self._decided(name, number, its, other))
        return found

    @staticmethod
    def _came_to_nothing(name: str, repo: AppliedRepo, tag: Tag) -> Finding:
        return Finding(
            agent=name,
            says=f"{name} has a tag {tag.name}, but the store has no such approval.",
            would=f"delete the tag {tag.name}",
            repair=_threaded(lambda: delete_tag(repo, tag.kind, tag.id)),
        )

    async def _decided(
        self, name: str, number: int, its: list[Tag], other: Decision | None
    ) -> Finding:
        """Keep the tags of a decision or deployment, even if the store lacks it."""
        names = ", ".join(tag.name for tag in its)
        if other is not None:
            return Finding(
                agent=name,
                says=f"{name} has tags {names}, but approval {number} belongs to "
                f"{other.agent}. Tags of decisions are never deleted: remove them by "
                "hand if the repository is a copy.",
            )
        says = f"{name} has tags {names}, but the store has no such approval."
        return Finding(
            agent=name,
            says=says,
            would=f"restore approval {number} from its tags and the audit log",
            repair=lambda: self._restore(number),
        )

    async def _restore(self, number: int) -> None:
        row = await asyncio.to_thread(row_of, self.layout, number, time.time())
        await self.store.write(lambda tx: insert(tx, row))

    # --- rows without tags ------------------------------------------------------------

    def _missing_tags(
        self, name: str, repo: AppliedRepo, tags: tuple[Tag, ...], snapshot: Snapshot
    ) -> list[Finding]:
        """Find missing tags of deployed and pending approvals."""
        there = {(tag.kind, tag.id) for tag in tags}
        row = snapshot.agents.get(name) or snapshot.kept.get(name)
        running = None if row is None else row.approval
        found = []
        for one in snapshot.of(name):
            wanted: tuple[TagKind, ...] = ()
            if one.id == running:
                wanted = (TagKind.PROPOSAL, TagKind.DEPLOYED)
            elif one.state is ApprovalState.PENDING:
                wanted = (TagKind.PROPOSAL,)
            for kind in wanted:
                if (kind, one.id) not in there:
                    found.append(self._missing_tag(repo, one, kind))
        return found

    def _missing_tag(self, repo: AppliedRepo, one: Decision, kind: TagKind) -> Finding:
        tag = f"{kind.value}/{one.id}"
        says = f"{one.agent} has no tag {tag}, but the store has its approval."
        try:
            repo.commit(one.commit)
        except HiveError:
            if one.state is not ApprovalState.PENDING:
                return Finding(
                    agent=one.agent, says=f"{says} Its commit is missing too."
                )
            return Finding(
                agent=one.agent,
                says=f"{says} Its commit is missing too.",
                would=f"close approval {one.id}, to be proposed again",
                repair=lambda: self._supersede(one.id),
            )

        async def repair() -> None:
            row = await self.store.read(lambda reader: rows.get(reader, one.id))
            message = row.record if kind is TagKind.PROPOSAL else None
            await asyncio.to_thread(repo.tag, kind, one.id, one.commit, message)

        return Finding(
            agent=one.agent,
            says=says,
            would=f"create the tag {tag} from the store",
            repair=repair,
        )

    async def _supersede(self, number: int) -> None:
        state = ApprovalState.SUPERSEDED
        await self.store.write(
            lambda tx: rows.decide(tx, number, state, by=SYSTEM, reason=_GONE)
        )

    # --- main -------------------------------------------------------------------------

    def _lost_deploy(
        self,
        name: str,
        repo: AppliedRepo,
        tags: tuple[Tag, ...],
        main: str | None,
        snapshot: Snapshot,
    ) -> list[Finding]:
        """Find a deployment that git records as finished, and the store does not."""
        agent = snapshot.agents.get(name)
        if agent is None:
            return []
        there = {(tag.kind, tag.id) for tag in tags}
        for one in snapshot.of(name):
            if one.id <= (agent.approval or 0) or one.state not in _UNDONE:
                continue
            if one.kind is ApprovalKind.RESTORE:  # main did not move
                continue
            moved = main == one.commit != agent.commit and agent.commit is not None
            ended = (TagKind.DEPLOYED, one.id) in there
            if (TagKind.APPROVED, one.id) in there and (moved or ended):
                says = (
                    f"main of {name} is the commit of approval {one.id}, but the "
                    f"store lists that approval as {one.state.value}."
                )
                would = f"deploy approval {one.id} again"
                return [
                    Finding(
                        agent=name,
                        says=says,
                        would=would,
                        repair=lambda it=one: self._again(repo, it),  # type: ignore[misc]
                        queues=True,
                    )
                ]
        return []

    async def _again(self, repo: AppliedRepo, one: Decision) -> None:
        for kind in (TagKind.FAILED, TagKind.DEPLOYED):
            await asyncio.to_thread(delete_tag, repo, kind, one.id)
        state = ApprovalState.APPROVED
        await self.store.write(lambda tx: rows.progress(tx, one.id, state))
        await self.operations.request(
            OPERATIONS[one.kind], one.agent, by=SYSTEM, approval=one.id
        )

    @staticmethod
    def _main(
        name: str, repo: AppliedRepo, main: str | None, snapshot: Snapshot
    ) -> list[Finding]:
        row = snapshot.agents.get(name) or snapshot.kept.get(name)
        wanted = None if row is None else row.commit
        if wanted is None or wanted == main:
            return []
        says = f"main of {name} is at {main}, but the deployed commit is {wanted}."
        try:
            repo.commit(wanted)
        except HiveError:
            lost = f"{says} That commit is missing: restore the repository from a"
            return [Finding(agent=name, says=f"{lost} backup.")]
        would = f"set main of {name} to {wanted}"
        repair = _threaded(lambda: move_main(repo, wanted, main))
        return [Finding(agent=name, says=says, would=would, repair=repair)]

    def _without_operation(self, name: str, snapshot: Snapshot) -> list[Finding]:
        return [
            Finding(
                agent=name,
                says=f"Approval {one.id} of {name} is {one.state.value}, but has no "
                "operation.",
                would=f"mark approval {one.id} as failed, to be proposed again",
                repair=lambda it=one: self._fail(it.id),  # type: ignore[misc]
            )
            for one in snapshot.of(name)
            if one.state in _BEGUN
        ]

    async def _fail(self, number: int) -> None:
        state = ApprovalState.FAILED
        await self.store.write(
            lambda tx: rows.progress(tx, number, state, reason=_LOST)
        )


def _threaded(work: Callable[[], None]) -> Callable[[], "asyncio.Future[None]"]:
    return lambda: asyncio.ensure_future(asyncio.to_thread(work))
