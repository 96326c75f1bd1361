"""Numbers in the docs are those of the code.

A number that a document quotes has one home in the code. Each line here names the
sentence that quotes it; changing the constant alone fails.
"""

import re
from pathlib import Path
from typing import Final

import pytest

from pyglue.config import MessageLimits, Timeouts
from pyglue.git.verdict import PackLimits
from pyglue.limits import AGENT_RPC, LOGIN_LINK_S, MIB, SESSION_S

ROOT: Final = Path(__file__).resolve().parents[3]
_DAY_S: Final = 86400
_PACK: Final = PackLimits()
_MESSAGES: Final = MessageLimits()

QUOTED: Final[tuple[tuple[str, str, float], ...]] = (
    ("docs/install.md", r"works once, within (\d+) minutes", LOGIN_LINK_S / 60),
    ("docs/operator-guide.md", r"works once, within (\d+) minutes", LOGIN_LINK_S / 60),
    ("docs/operator-guide.md", r"session lasts (\d+) hours", SESSION_S / 3600),
    (
        "docs/operator-guide.md",
        r"ended after (\d+) hours or",
        SESSION_S / 3600,
    ),
    (
        "docs/operator-guide.md",
        r"without a decision expires after (\d+) days",
        Timeouts().approval_expires_s / _DAY_S,
    ),
    ("docs/architecture.md", r"single-use code \((\d+)\s+minutes\)", LOGIN_LINK_S / 60),
    ("docs/architecture.md", r"for a session \((\d+) hours;", SESSION_S / 3600),
    ("docs/host-options.md", r"other sessions last (\d+) hours", SESSION_S / 3600),
    (
        "docs/architecture.md",
        r"nobody decided within (\d+) days",
        Timeouts().approval_expires_s / _DAY_S,
    ),
    (
        "docs/architecture.md",
        r"socket: (\d+) connections",
        AGENT_RPC.connections,
    ),
    ("docs/architecture.md", r"(\d+) s for the hello", AGENT_RPC.hello_s),
    ("docs/architecture.md", r"(\d+)\s+concurrent\s+calls", AGENT_RPC.outstanding_all),
    ("docs/architecture.md", r"\((\d+)\s+MiB of pack", _PACK.max_pack_bytes / MIB),
    ("docs/architecture.md", r"of pack, ([\d,]+) entries", _PACK.max_entries),
    ("docs/architecture.md", r"(\d+) MiB per file", _PACK.max_blob_bytes / MIB),
    ("docs/architecture.md", r"(\d+) MiB in total", _PACK.max_total_bytes / MIB),
    ("docs/architecture.md", r"in total, (\d+) levels", _PACK.max_depth),
)


@pytest.mark.parametrize(
    ("document", "sentence", "value"),
    QUOTED,
    ids=[f"{document}: {sentence}" for document, sentence, _ in QUOTED],
)
def test_a_number_in_the_docs_is_the_one_in_the_code(
    document: str, sentence: str, value: float
) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(sentence, text)
    assert found, f"{document} does not say this any more: {sentence}"
    assert {float(one.replace(",", "")) for one in found} == {value}
