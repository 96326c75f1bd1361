"""Agent-written text on every page and fragment: only ever text, however long."""

import re

import msgspec
import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, show_diff
from checks.kits.web.hostile import NASTY, poisoned
from pyglue.api.diff import DiffLine, Hunk, LineKind

ALL = (
    "/",
    "/approvals",
    "/approvals/7",
    "/approvals/7?view=split",
    "/agents/alice",
    "/agents/alice/files",
    "/messages/31",
)


FRAGMENTS = (
    *(
        f"/fragments/{name}"
        for name in ("needs", "agents", "inbox", "messages", "banner")
    ),
    "/fragments/approval/7",
    "/fragments/agent/alice",
)


@pytest.mark.parametrize("path", FRAGMENTS)
def test_fragments_are_parts_of_pages(operator: Operator, path: str) -> None:
    answer = operator.get(path)
    assert answer.status_code == 200
    assert "<html" not in answer.text


@pytest.mark.parametrize("path", ["/fragments/nope", "/fragments/agent/nobody"])
def test_an_unknown_fragment_is_not_found(operator: Operator, path: str) -> None:
    assert operator.get(path).status_code == 404


@pytest.mark.parametrize("path", (*ALL, *FRAGMENTS, "/approvals/6"))
def test_hostile_text_stays_text(operator: Operator, path: str) -> None:
    poisoned(operator.hive, NASTY)
    answer = operator.get(path)
    assert answer.status_code == 200
    html = answer.text
    assert "&lt;script&gt;alert(1)" in html
    for raw in ("<script>", "<img src=x", "<nasty>", "54439", "</title>javascript"):
        assert raw not in html
    for char in "\x1b\x07\x00\r\x7f\x85\u202e\u2066\u200b\u2028\ufeff\U000e0041":
        assert char not in html
    assert not re.search(r'(href|action|src)="javascript', html)
    assert not re.search(r'<[a-z]+[^<>]*"[^<>=]*onerror', html)


@pytest.mark.parametrize(
    "path", [path for path in ALL if not path.endswith(("31", "files"))]
)
def test_a_million_characters_everywhere(operator: Operator, path: str) -> None:
    hive, long = operator.hive, "y" * 1_000_000
    hive.agents = [
        msgspec.structs.replace(hive.agents[1], description=long, problem=long)
    ]
    hive.set_approval(7, description=long, reason=long, widens=(long,))
    one = DiffLine(kind=LineKind.ADDED, text=long, old_no=None, new_no=1)
    hunk = Hunk(old_start=0, old_lines=0, new_start=1, new_lines=1, lines=(one,))
    file = msgspec.structs.replace(
        data.file_diff("agent.nix", "", "x"), path=long, hunks=(hunk,)
    )
    show_diff(hive, file)
    hive.questions = [data.question(4, question=long)]
    hive.messages = hive.inbox = [data.message(31, body=long[:262144])]
    answer = operator.get(path)
    assert answer.status_code == 200
    assert "more characters" in answer.text
