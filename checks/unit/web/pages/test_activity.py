"""Activity: the audit log, operations, and doctor's findings."""

import html
import re

import pytest
from msgspec.structs import replace

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from pyglue.api.doctor import CheckState
from pyglue.api.operations import OperationKind, OperationState


def test_the_newest_entry_is_first(operator: Operator) -> None:
    page = operator.get("/activity").text
    assert page.index('data-seq="4"') < page.index('data-seq="1"')
    assert "start failed" in page and "exit status 1" in page
    assert "root on the command line" in page and "another browser (1a2b3c4d)" in page
    assert f"<b>commit</b> {data.sha('7')[:12]}<" in page


def test_an_entry_leads_to_what_it_is_about(operator: Operator) -> None:
    page = operator.get("/activity").text
    assert '<a href="/approvals/7">7</a>' in page
    assert re.search(r'<a href="/operations/11"[^>]*>11</a>', page)


def test_the_log_is_filtered(operator: Operator) -> None:
    query = "agent=bob&what=start+failed&who=system"
    for path in ("/activity", "/fragments/activity"):
        page = operator.get(f"{path}?{query}").text
        assert page.count('data-testid="entry"') == 1
    asked = operator.hive.called("audit_export")[-1]
    assert (asked.agent, asked.what, asked.who) == ("bob", "start_failed", "system")
    assert "No matching entries" in operator.get("/activity?who=nobody").text


def test_a_filter_by_what_is_no_name_is_refused(operator: Operator) -> None:
    answer = operator.get("/activity?agent=Not+a+name")
    assert answer.status_code == 400 and "Not a name" in answer.text
    assert not operator.hive.called("audit_export")


def test_older_entries_are_a_page_away(operator: Operator) -> None:
    first = data.audit()[0]
    operator.hive.audit = [replace(first, seq=seq) for seq in range(1, 151)]
    page = operator.get("/activity?who=cli+uid+0").text
    assert page.count('data-testid="entry"') == 100
    older = html.unescape(page.split('rel="next" href="')[1].split('"')[0])
    assert older == "/activity?who=cli+uid+0&before=51"
    rest = operator.get(older).text
    assert rest.count('data-testid="entry"') == 50 and 'rel="next"' not in rest


@pytest.mark.parametrize("value", [None, "", {}, ["a", "b"], True, 1.5, "<b>"])
def test_every_kind_of_value_can_be_shown(operator: Operator, value: object) -> None:
    first = data.audit()[0]
    operator.hive.audit = [replace(first, what="<i>", data={"<u>": value})]
    page = operator.get("/activity").text
    assert "<i>" not in page and "<u>" not in page and "<b><b>" not in page
    assert ("&lt;u&gt;" in page) == (value not in (None, ""))


def test_operations_are_listed_with_what_they_do(operator: Operator) -> None:
    known = operator.hive.operations
    number, one = next(iter(known.items()))
    known[number] = replace(
        one, kind=OperationKind.DEPLOY, state=OperationState.QUEUED, error=None
    )
    page = operator.get("/operations").text
    assert f'href="/operations/{number}"' in page
    assert f'action="/operations/{number}/cancel"' in page
    ended = one.created_at + 2.25
    failed = OperationState.FAILED
    known[number] = replace(one, state=failed, error="no space", finished_at=ended)
    page = operator.get("/fragments/operations").text
    assert "no space" in page and "/cancel" not in page
    assert ">2.2 s<" in page


def test_findings_come_with_their_repair(operator: Operator) -> None:
    page = operator.get("/doctor").text
    assert "nothing works on it" in page and "hive doctor --repair" in page
    assert "1 check passed" in page and "git is at /usr/bin/git." in page
    found = operator.hive.checks
    operator.hive.checks = [one for one in found if one.state is CheckState.OK]
    assert "No problems found." in operator.get("/doctor").text
