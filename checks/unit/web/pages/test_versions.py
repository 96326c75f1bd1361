"""An agent's versions side by side, and what a rollback would change."""

import html
import re

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, refusing
from pyglue.api.approvals import ApprovalState
from pyglue.errors import ErrorCode


@pytest.fixture(autouse=True)
def versions(operator: Operator) -> None:
    """Let alice run 6, with 3 and 4 before it, and 7 pending."""
    for number, state in ((3, "deployed"), (4, "failed"), (6, "deployed")):
        row = data.summary(number, state=ApprovalState(state))
        operator.hive.approvals[number] = data.detail(row)
    operator.hive.approvals = dict(sorted(operator.hive.approvals.items())[::-1])
    alice = data.agent("alice", deployed_approval=6)
    operator.hive.agents[1] = alice


def compared(operator: Operator) -> tuple[int, int]:
    (params,) = operator.hive.called("compare")
    return params.old, params.new


def test_without_a_choice_the_last_two_that_were_deployed(operator: Operator) -> None:
    page = operator.get("/agents/alice/versions").text
    assert compared(operator) == (3, 6)
    assert page.count("selected>") == 2
    assert re.findall('<option value="([0-9]+)"', page)[:4] == ["7", "6", "4", "3"]
    assert "deployed now" in page
    assert 'action="/agents/alice/rollback/3"' in page
    assert "May use 2 more tools" in page
    assert 'data-path="agent.nix"' in page and 'data-path="manifest.json"' in page
    assert 'class="diff split"' in page


@pytest.mark.parametrize(
    ("old", "new", "back"),
    [(6, 3, 3), (3, 6, 3), (3, 4, None), (6, 4, None), (6, 6, None)],
)
def test_one_goes_back_to_what_was_deployed_from_what_is(
    operator: Operator, old: int, new: int, back: int | None
) -> None:
    page = operator.get(f"/agents/alice/versions?old={old}&new={new}").text
    assert compared(operator) == (old, new)
    found = re.findall('action="/agents/alice/rollback/([0-9]+)"', page)
    assert found == ([] if back is None else [str(back)])
    unified = operator.get(f"/agents/alice/versions?old={old}&new={new}&view=unified")
    assert 'class="diff split"' not in unified.text


def test_a_rollback_shows_what_it_changes_before_its_button(operator: Operator) -> None:
    page = operator.get("/agents/alice/rollback/3").text
    assert compared(operator) == (6, 3)
    assert 'data-path="agent.nix"' in page and "Roll back" in page
    (raw,) = set(re.findall('href="(/agents/alice/versions/diff.txt[^"]*)"', page))
    text = operator.get(html.unescape(raw))
    assert text.content_type.startswith("text/plain")
    assert text.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "manifest.json" in text.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/agents/alice/versions?old=3&new=99", 404),
        ("/agents/alice/versions?old=x&new=-1", 200),
        ("/agents/alice/versions/diff.txt?old=3", 400),
        ("/agents/alice/versions/diff.txt?old=3&new=6&file=-1", 200),
        ("/agents/nobody/versions", 404),
        ("/agents/alice/rollback/99", 404),
        ("/agents/A/versions", 400),
    ],
)
def test_what_is_no_version(operator: Operator, path: str, status: int) -> None:
    assert operator.get(path).status_code == status


def test_a_refused_comparison_is_said(operator: Operator) -> None:
    why = "The files of approval 3 are no longer kept."
    operator.hive.overrides["compare"] = refusing(ErrorCode.NOT_FOUND, why)
    answer = operator.get("/agents/alice/versions?old=3&new=6")
    assert answer.status_code == 404 and "no longer kept" in answer.text


def test_an_agent_without_versions(operator: Operator) -> None:
    operator.hive.agents.append(data.agent("erin", deployed_approval=None))
    page = operator.get("/agents/erin/versions")
    assert page.status_code == 200 and "No versions yet." in page.text
    assert not operator.hive.called("compare")
