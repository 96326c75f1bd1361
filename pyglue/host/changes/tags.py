"""A deploy's reads and writes in an agent's applied repository.

Git is the source of truth for content: the deployed record is the message of the
proposal's tag, and ``main`` is the last successfully deployed commit. ``deploy`` calls
this in a thread.
"""

from dataclasses import dataclass

from pyglue.errors import ErrorCode, HiveError
from pyglue.git.repos import AppliedRepo
from pyglue.git.tags import TagKind
from pyglue.manifest.record import PinnedRecord, decode
from pyglue.paths import Layout
from pyglue.store.approvals import ApprovalRow


@dataclass(frozen=True, kw_only=True)
class DeployTags:
    """Tags the begin, success and failure of a deployment. Idempotent."""

    layout: Layout

    def repo(self, approval: ApprovalRow) -> AppliedRepo:
        """Return the repository of an approval's agent."""
        return AppliedRepo(self.layout.applied(approval.agent))

    def record(self, approval: ApprovalRow) -> PinnedRecord:
        """Return the record in the proposal's tag.

        Raises:
            HiveError: ``conflict`` if it is not the approved one.
        """
        tagged = self.repo(approval).read_tag_message(TagKind.PROPOSAL, approval.id)
        record = decode(tagged or b"")
        if record.sha256 != approval.manifest_sha256:
            raise HiveError(
                ErrorCode.CONFLICT,
                "The record in the proposal's tag differs from the approved one.",
            )
        return record

    def begin(self, approval: ApprovalRow) -> None:
        """Tag the commit whose deployment begins.

        Raises:
            HiveError: ``stale`` if ``main`` moved since the proposal.
        """
        repo = self.repo(approval)
        if repo.main() not in (approval.main, approval.commit):
            raise HiveError(
                ErrorCode.STALE,
                "main moved after this was proposed; propose it again.",
            )
        repo.tag(TagKind.APPROVED, approval.id, approval.commit)
        repo.tag(TagKind.BUILDING, approval.id, approval.commit)

    def end(self, approval: ApprovalRow) -> None:
        """Move ``main``, and tag the deployed commit."""
        repo = self.repo(approval)
        repo.advance_main(approval.commit, approval.main)
        repo.tag(TagKind.DEPLOYED, approval.id, approval.commit)

    def failed(self, approval: ApprovalRow, reason: str) -> None:
        """Tag a failed deployment, with the reason."""
        repo = self.repo(approval)
        if not repo.path.is_dir():  # purged or discarded meanwhile
            return
        if not repo.has_tag(TagKind.FAILED, approval.id):
            message = reason.encode("utf-8", "replace")
            repo.tag(TagKind.FAILED, approval.id, approval.commit, message)
