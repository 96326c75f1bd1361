"""Numbers in the docs are those of the code.

A number that a document quotes has one home in the code. Each line here names the
sentence that quotes it; changing the constant alone fails.
"""

import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from pyglue.api.agent import OPEN_MOST
from pyglue.api.approvals import COMMENT_MAX, COMMENTS_MAX
from pyglue.api.files import LISTED_MAX, READ_MAX
from pyglue.api.journal import LINES_MAX
from pyglue.api.messages import BODY_LIMIT, RecvParams
from pyglue.cli import local_ids
from pyglue.config import (
    DiskConfig,
    MessageLimits,
    NixosConfig,
    OperatorLimits,
    Quotas,
    Retention,
    Timeouts,
)
from pyglue.git.verdict import PackLimits
from pyglue.host.agents import ports
from pyglue.host.core import agent, events, turns
from pyglue.host.messages import forges
from pyglue.host.watch import history, journal
from pyglue.limits import (
    AGENT_RPC,
    HEALTH_LEAST_S,
    HIVED,
    KIB,
    LOGIN_LINK_S,
    MIB,
    PREFLIGHT_S,
    RESTARTS_S,
    SERVER_START_S,
    SESSION_S,
    WEBHOOK,
)
from pyglue.manifest.record import MAX_BYTES
from pyglue.process import logfile
from pyglue.store import metrics
from pyglue.web.pages import explain, highlight
from pyglue.web.pages import files as file_pages

ROOT: Final = Path(__file__).resolve().parents[3]
_DAY_S: Final = 86400
_LOGIN_MIN: Final = LOGIN_LINK_S / 60
_SESSION_H: Final = SESSION_S / 3600
_PACK: Final = PackLimits()
_MESSAGES: Final = MessageLimits()
_QUOTAS: Final = Quotas()
_TIMEOUTS: Final = Timeouts()
_NIXOS: Final = NixosConfig(nixpkgs="", framework="", revision="")
_RECV: Final = msgspec.json.schema_components((RecvParams,))[1]["RecvParams"][
    "properties"
]
_DECIDED_DAYS: Final = _TIMEOUTS.approval_expires_s / _DAY_S
_LATE_MIN: Final = _TIMEOUTS.late_step_s / 60

QUOTED: Final[dict[str, dict[str, float | None]]] = {
    "docs/install.md": {r"works once, within (\d+) minutes": _LOGIN_MIN},
    "docs/agents.md": {
        r"(\d+) MiB per file and": _PACK.max_blob_bytes / MIB,
        r"per file and (\d+) MiB in total": _PACK.max_total_bytes / MIB,
        r"\(([\d,]+) MiB by default\)": _QUOTAS.egress_mib_per_day,
        r"truncated after (\d+) KiB": forges.SHOWN_MAX / KIB,
    },
    "docs/containers.md": {
        r"not healthy within (\d+) s": _TIMEOUTS.health_s,
        r"restarts it after (\d+) to": RESTARTS_S[0],
        r"restarts it after \d+ to (\d+) s": RESTARTS_S[-1],
        r"defaults \((\d+) s and": _TIMEOUTS.evaluate_s,
        r"`hyperhive.\*`, (\d+) s and": _NIXOS.evaluate_s,
    },
    "docs/security.md": {
        r"raw bytes \(at most (\d+) MiB\)": WEBHOOK.body / MIB,
    },
    "docs/rpc.md": {
        r"newest first, at most (\d+) of each kind": OPEN_MOST,
    },
    "docs/host-options.md": {
        r"other sessions last (\d+) hours": _SESSION_H,
        r"At least (\d+): an agent's start": HEALTH_LEAST_S,
        r"start may take (\d+) seconds": PREFLIGHT_S,
        r"each MCP server\s+(\d+)": SERVER_START_S,
    },
    "docs/operator-guide.md": {
        r"works once, within (\d+) minutes": _LOGIN_MIN,
        r"session lasts (\d+) hours": _SESSION_H,
        r"ended after (\d+) hours or": _SESSION_H,
        r"user IDs start at ([\d,]+)": local_ids.FIRST,
        r"waits up to (\d+) seconds for a running turn": _TIMEOUTS.drain_s,
        r"without a decision expires after (\d+) days": _DECIDED_DAYS,
        r"up to (\d+) KiB of its diff": explain._DIFF_MAX / KIB,
        r"up to (\d+) KiB of a change": highlight._TEXT_COLOURED / KIB,
        r"GIF, up to (\d+) MiB": file_pages._IMAGE_MAX / MIB,
        r"up to the first (\d+) KiB": READ_MAX / KIB,
        r"at most ([\d,]+) entries of a directory": LISTED_MAX,
        r"of lines \(up to ([\d,]+)\)": LINES_MAX,
        r"twice (\d+) MiB each": logfile.CAP / MIB,
        r"(\d+) MiB plus one older": logfile.CAP / MIB,
        r"Rows are kept for (\d+) days": metrics.ROWS_KEPT_S / _DAY_S,
        r"up to (\d+) comments": COMMENTS_MAX,
        r"comments of ([\d,]+) characters": COMMENT_MAX,
        r"after (\d+) second at first": RESTARTS_S[0],
        r"at most (\d+) seconds\s+later": RESTARTS_S[-1],
        r"After (\d+) minutes": _LATE_MIN,
        r"`limits.scheduleMinutes` \((\d+)\)": OperatorLimits().schedule_minutes,
        r"larger than (\d+) MiB. 429": WEBHOOK.body / MIB,
        r"more than (\d+) at once, or more than one every two": WEBHOOK.burst,
        r"`disk.reserve_mib` \((\d+) MiB": DiskConfig().reserve_mib,
        r"`disk.ballast_mib`, (\d+) MiB": DiskConfig().ballast_mib,
        r"also at ([\d,]+) messages": _MESSAGES.inbox_max,
        r"sums of 5 minutes for (\d+) days": metrics.KEPT_S[0] / _DAY_S,
        r"of an hour for (\d+) days": metrics.KEPT_S[1] / _DAY_S,
        r"`retention.stats_days`\s+\((\d+)\)": Retention().stats_days,
        r"`retention.history_days` \((\d+)\)": Retention().history_days,
        r"at most (\d+) MiB per agent": _QUOTAS.history_mib,
        r"loopback, from (\d+) to": ports.FIRST,
        r"loopback, from \d+ to (\d+)": ports.LAST,
        r"At most (\d+) logs": journal.FOLLOWERS_MAX,
        r"did not connect within (\d+) s": _TIMEOUTS.health_s,
        r"gone through (\d+) turns": _MESSAGES.hops_max,
    },
    "docs/architecture.md": {
        r"single-use code \((\d+)\s+minutes\)": _LOGIN_MIN,
        r"for a session \((\d+) hours;": _SESSION_H,
        r"there was no decision within (\d+) days": _DECIDED_DAYS,
        r"socket: (\d+) connections": AGENT_RPC.connections,
        r"(\d+) s for the hello": AGENT_RPC.hello_s,
        r"(\d+)\s+concurrent\s+calls": AGENT_RPC.outstanding_all,
        r"(\d+) MiB of memory": AGENT_RPC.bytes_all / MIB,
        r"At most (\d+)\s+lines": AGENT_RPC.lines_at_once,
        r"at most (\d+) reads of the\s+store": agent.READS,
        r"descriptors and (\d+) MiB": HIVED.bytes / MIB,
        r"logged at most (\d+) times a minute": HIVED.log_burst,
        r"lines over (\d+) MiB": AGENT_RPC.line / MIB,
        r"more than (\d+) calls at once": AGENT_RPC.outstanding,
        r"\((\d+)\s+MiB of pack": _PACK.max_pack_bytes / MIB,
        r"of pack, ([\d,]+) entries": _PACK.max_entries,
        r"(\d+) MiB per file": _PACK.max_blob_bytes / MIB,
        r"(\d+) MiB in total": _PACK.max_total_bytes / MIB,
        r"in total, (\d+) levels": _PACK.max_depth,
        r"canonical, over (\d+) KiB": MAX_BYTES / KIB,
        r"for a running turn \((\d+) s\)": _TIMEOUTS.drain_s,
        r"healthy hello \((\d+) s;": _TIMEOUTS.health_s,
        r"MCP servers have (\d+) s": PREFLIGHT_S,
        r"each server (\d+) s": SERVER_START_S,
        r"(\d+) minutes is reported": _LATE_MIN,
        r"leases up to (\d+) messages": _RECV["max"]["maximum"],
        r"waits up to (\d+) s for them": _RECV["wait_seconds"]["maximum"],
        r"end the turn within (\d+) s": turns._CANCEL_S,
        r"After (\d+) failed turns": _MESSAGES.deliveries_max,
        r"(\d+) messages a minute to one": _MESSAGES.per_pair_per_minute,
        r"(\d+) in total; [\d,]+ messages": _MESSAGES.per_agent_per_minute,
        r"in total; ([\d,]+) messages and": _MESSAGES.inbox_max,
        r"messages and (\d+) MiB in an inbox": _QUOTAS.inbox_mib,
        r"(\d+) KiB per body": BODY_LIMIT / KIB,
        r"per body, (\d+) MiB a\s+day": _QUOTAS.messages_mib_per_day,
        r"beyond (\d+) the send is refused": _MESSAGES.hops_max,
        r"deliver it twice. An agent has (\d+) at most": _QUOTAS.reminders,
        r"at most (\d+) open\s+questions": _QUOTAS.questions,
        r"falls ([\d,]+) events behind": events.QUEUE_MAX,
        r"asks for more than ([\d,]+)": events.REPLAY_MAX,
        r"a burst of (\d+) MiB": history.BURST / MIB,
        r"MiB, (\d+) KiB a second": history.RATE / KIB,
        r"(\d+) bytes for each event": history.EVENT_COST,
        r"after a burst of (\d+), only": agent.REPORTS[0],
        r"(\d+) turns may start in a burst": agent.TURNS[0],
    },
}
SENTENCES: Final = [
    (document, sentence, value)
    for document, sentences in QUOTED.items()
    for sentence, value in sentences.items()
]


@pytest.mark.parametrize(
    ("document", "sentence", "value"),
    SENTENCES,
    ids=[f"{document}: {sentence}" for document, sentence, _ in SENTENCES],
)
def test_a_number_in_the_docs_is_the_one_in_the_code(
    document: str, sentence: str, value: float | None
) -> None:
    text = " ".join((ROOT / document).read_text(encoding="utf-8").split())
    found = re.findall(sentence, text)
    assert found, f"{document} does not say this any more: {sentence}"
    assert {float(one.replace(",", "")) for one in found} == {value}


def test_the_delays_before_a_restart_are_all_said() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    found = re.search(r"restarts after ([\d, ]+), then every (\d+) seconds", text)
    assert found
    assert [float(one) for one in found[1].split(",")] == list(RESTARTS_S[:-1])
    assert float(found[2]) == RESTARTS_S[-1]


@pytest.mark.parametrize(
    ("section", "prefix", "settings"),
    [
        ("What is kept, and for how long", "retention.", Retention()),
        ("Quotas", "", Quotas()),
    ],
)
def test_a_table_has_every_setting_with_its_default(
    section: str, prefix: str, settings: msgspec.Struct
) -> None:
    text = (ROOT / "docs/operator-guide.md").read_text(encoding="utf-8")
    table = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    said: dict[str, float] = {}
    for names, defaults in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE):
        numbers = [float(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", defaults)]
        said |= zip(re.findall(r"`([^`]+)`", names), numbers, strict=True)
    assert said == {
        f"{prefix}{name}": getattr(settings, name)
        for name in settings.__struct_fields__
    }
