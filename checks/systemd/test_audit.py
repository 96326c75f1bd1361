"""``hive audit verify`` reads hived's heads from the journal automatically."""

import json
import re

import pytest

from checks.systemd.hive import STATE, SystemHive

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nspawn"),
]

HIVE = ("-m", "pyglue.cli.hive", "audit", "verify")


async def test_the_journal_s_heads_are_compared_with(hive: SystemHive) -> None:
    said = hive.machine.python(*HIVE).out
    found = re.fullmatch(
        r"The audit log is intact: (\d+) lines; consistent with (\d+) anchors from the "
        r"journal of hived\.service \(of lines 1 to (\d+)\)\.\n",
        said,
    )
    assert found is not None, said
    assert found[1] == found[2] == found[3]
    said = hive.machine.python(*HIVE, "--no-journal").out
    assert "not compared with any anchor" in said


async def test_a_log_that_was_cut_is_found_by_them(hive: SystemHive) -> None:
    """With the key, who cuts it can forge the head beside it, and not the journal."""
    room = hive.machine.root / STATE.lstrip("/")
    log, head = room / "audit.jsonl", room / "private/audit.head"
    lines, kept = log.read_bytes().splitlines(keepends=True), head.read_bytes()
    last = json.loads(lines[-2])
    forge = (
        "from pathlib import Path; from pyglue.host.core.audit_log import Head; "
        f"key = Path('{STATE}/private/audit.key').read_bytes(); "
        f"Path('{STATE}/private/audit.head').write_bytes("
        f"Head({last['seq']}, '{last['mac']}').encode(key))"
    )
    try:
        hive.machine.python("-c", forge)
        log.write_bytes(b"".join(lines[:-1]))
        assert hive.machine.python(*HIVE, "--no-journal").code == 0
        done = hive.machine.python(*HIVE, check=False)
        assert done.code == 1
        assert "it was truncated" in done.out
        assert "Compared with" in done.out
    finally:
        head.write_bytes(kept)
        log.write_bytes(b"".join(lines))
