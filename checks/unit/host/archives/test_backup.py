"""Requirements of a backup, checked before anything is copied."""

from pathlib import Path

import pytest

from checks.kits.host.store import open_kit
from pyglue.api.archive import BackupParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.archives import backup
from pyglue.host.archives.backup import Backups
from pyglue.paths import Layout


async def test_without_age_a_backup_with_secrets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = await open_kit(tmp_path)
    backups = Backups(
        audit=kit.audit,
        layout=Layout(tmp_path, tmp_path),
        hidden=kit.secret_uses.hidden_in_files,
    )
    monkeypatch.setattr(backup, "_AGE", ("no-age-here", "--encrypt", "--recipient"))
    with pytest.raises(HiveError, match="the program age is not installed") as caught:
        await backups.hive(BackupParams(recipient="age1" + "q" * 58), "uid 0")
    assert caught.value.code is ErrorCode.MISSING_PROGRAM
    assert kit.audited() == []
    await kit.store.close()
