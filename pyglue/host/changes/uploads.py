"""Uploads of packs: files in the quarantine that ``proposals`` will check.

Their number and size are limited; their content is not read here.
"""

import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from pyglue.api.approvals import ApprovalKind
from pyglue.api.manager import PACK_LIMIT
from pyglue.errors import ErrorCode, HiveError

_UPLOADS_MAX: Final = 4


@dataclass(kw_only=True)
class Upload:
    """One pack, with the agent, commit and kind that were announced."""

    agent: str
    commit: str
    description: str
    kind: ApprovalKind
    file: BinaryIO
    path: Path
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Uploads:
    """Opens, fills and drops uploads."""

    quarantine: Path
    _open: dict[str, Upload] = field(default_factory=dict, init=False)

    def open(
        self, agent: str, commit: str, description: str, kind: ApprovalKind
    ) -> str:
        """Open an upload for a pack, and return its identifier.

        Raises:
            HiveError: ``too_many``.
        """
        if len(self._open) >= _UPLOADS_MAX:
            raise HiveError(
                ErrorCode.TOO_MANY,
                f"There are already {_UPLOADS_MAX} open uploads; finish one first.",
            )
        descriptor, name = tempfile.mkstemp(
            prefix="upload-", suffix=".pack", dir=self.quarantine
        )
        file = open(descriptor, "wb")  # noqa: SIM115, PTH123 - closed with the upload
        upload = uuid.uuid4().hex
        self._open[upload] = Upload(
            agent=agent,
            commit=commit,
            description=description,
            kind=kind,
            file=file,
            path=Path(name),
        )
        return upload

    def add(self, upload: str, data: bytes) -> None:
        """Add bytes; an upload that exceeds the limit is dropped.

        Raises:
            HiveError: ``not_found``, ``too_large``.
        """
        found = self._get(upload)
        found.size += len(data)
        if found.size > PACK_LIMIT:
            self.drop(upload)
            raise HiveError(
                ErrorCode.TOO_LARGE,
                f"The commit's new objects exceed {PACK_LIMIT} bytes. Agent "
                "repositories hold configuration: keep large files elsewhere.",
            )
        found.file.write(data)

    def size(self, upload: str) -> int:
        """Return how many bytes of an upload have arrived; 0 if it is gone."""
        found = self._open.get(upload)
        return 0 if found is None else found.size

    def whole(self, upload: str) -> Upload:
        """Return a complete upload, with all bytes flushed to its file.

        Raises:
            HiveError: ``not_found``.
        """
        found = self._get(upload)
        found.file.flush()
        return found

    def drop(self, upload: str) -> None:
        """Drop an upload. Idempotent."""
        gone = self._open.pop(upload, None)
        if gone is not None:
            gone.file.close()
            gone.path.unlink(missing_ok=True)

    def _get(self, upload: str) -> Upload:
        found = self._open.get(upload)
        if found is None:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                "Unknown upload: it expired or never existed. Begin a new one.",
            )
        return found
