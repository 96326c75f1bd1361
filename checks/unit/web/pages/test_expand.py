"""More lines around the changes of an approval: links, numbers, limits, refusals."""

import re
from html import unescape
from urllib.parse import quote

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, show_diff
from checks.kits.web.hostile import NASTY
from pyglue.api.approvals import ContextParams, DiffBase
from pyglue.web.pages.diff import FILE_LINES
from pyglue.web.pages.expand import Lines, merged

OLD = "".join(f"line {n}\n" for n in range(1, 101))
NEW = OLD.replace("line 40\n", "line 40\nnew\n").replace("line 70\n", "")


@pytest.fixture(autouse=True)
def _diff(operator: Operator) -> None:
    show_diff(operator.hive, data.file_diff("a.txt", OLD, NEW))


def links(html: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'<a href="([^"]+)" data-more', html)]


def numbers(html: str) -> list[tuple[str, str]]:
    found = re.findall(r'<td class="no">(\d*)</td><td class="no">(\d*)</td>', html)
    return [(old, new) for old, new in found]


def test_every_gap_has_its_links(operator: Operator) -> None:
    html = operator.get("/approvals/7").text
    place = "/approvals/7?base=running&view=unified&lines="
    assert links(html) == [
        f"{place}0:18-37#line-0-18",  # upwards, above the first change
        f"{place}0:45-64#line-0-45",  # downwards, between the changes
        f"{place}0:48-67#line-0-48",  # upwards
        f"{place}0:74-93#line-0-74",  # downwards, after the last change
    ]


def test_a_link_shows_lines_with_both_numbers_and_leads_on(operator: Operator) -> None:
    html = operator.get("/approvals/7?lines=0:45-64").text
    assert ("44", "45") in numbers(html) and ("63", "64") in numbers(html)
    assert 'id="line-0-45"' in html
    assert "Show all 3 lines" in html
    last = [one for one in links(html) if "0:45-67" in one]
    html = operator.get(last[0].partition("#")[0]).text
    assert html.count('class="hunk"') == 2  # and what follows the last
    (params, *_) = operator.hive.called("context")
    assert params == ContextParams(
        id=7, file="a.txt", first=45, last=64, base=DiffBase.RUNNING
    )


def test_side_by_side_and_the_other_view_keep_the_lines(operator: Operator) -> None:
    html = operator.get("/approvals/7?view=split&lines=0:18-37").text
    assert 'id="line-0-18"' in html
    assert "view=split&amp;lines=0:1-37#" in html  # the next 17 are all
    assert 'href="/approvals/7?base=running&amp;lines=0:18-37#h-files"' in html


def test_one_file_is_a_fragment(operator: Operator) -> None:
    html = operator.get("/fragments/approval/7/file/0?lines=0:45-64").text
    assert html.strip().startswith("<article")
    assert ("63", "64") in numbers(html)
    assert operator.get("/fragments/approval/7/file/1").status_code == 404
    assert operator.get("/fragments/approval/99/file/0").status_code == 404


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("x", 400),
        ("0:5", 400),
        ("0:9-8", 400),
        ("-1:1-2", 400),
        ("0:1-2;", 400),
        ("0:\u0661-\u0662", 400),
        ("0:1-999999999", 400),
        ("1:1-2", 404),
        ("0:1-1000", 413),
        (f"0:1-{FILE_LINES}", 413),
        ("../../etc/passwd:1-2", 400),
        ("a.txt:1-2", 400),
        ("0:0-2", 400),  # what hived refuses
    ],
)
def test_other_lines_are_refused(operator: Operator, lines: str, status: int) -> None:
    answer = operator.get(f"/approvals/7?lines={quote(lines)}")
    assert answer.status_code == status
    assert operator.get("/approvals/7?" + "lines=0:1-2&" * 31).status_code == 400


def test_lines_take_no_changed_line_from_the_page(operator: Operator) -> None:
    middle = "".join(f"{n}\n" for n in range(FILE_LINES - 60))
    show_diff(operator.hive, data.file_diff("a.txt", OLD, middle + OLD))
    html = operator.get("/approvals/7?lines=0:1950-1959").text
    assert "Not shown in full" not in html
    assert operator.get("/approvals/7?lines=0:1950-2039").status_code == 413


def test_what_is_cut_or_shown_whole_has_no_links(operator: Operator) -> None:
    show_diff(operator.hive, data.file_diff("a.txt", "", OLD))
    assert links(operator.get("/approvals/7").text) == []
    many = "".join(f"{n}\n" for n in range(FILE_LINES + 60))
    show_diff(operator.hive, data.file_diff("a.txt", OLD, many + OLD))
    assert links(operator.get("/approvals/7").text) == []


def test_hostile_lines_stay_text(operator: Operator) -> None:
    operator.hive.unchanged = NASTY
    html = operator.get("/approvals/7?lines=0:45-64").text
    assert "<nasty>" not in html and "\u202e" not in html and "\x1b" not in html
    assert "\u2039U+202E\u203a" in html


def test_lines_that_touch_are_one() -> None:
    given = [Lines(1, 5, 9), Lines(0, 30, 49), Lines(0, 50, 69), Lines(0, 35, 40)]
    assert merged(given) == (Lines(0, 30, 69), Lines(1, 5, 9))
