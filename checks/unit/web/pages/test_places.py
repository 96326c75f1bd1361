"""The table of pages: each can be reached by its link and by its key."""

import re
from pathlib import Path
from typing import Final

import pytest

from checks.kits.web.app import Operator
from pyglue.web.pages.places import PLACES, Place

WEB: Final = Path(__file__).resolve().parents[4] / "web"


def test_no_two_pages_have_a_key() -> None:
    assert len({one.key for one in PLACES}) == len(PLACES)


def test_every_page_of_the_header_has_an_icon() -> None:
    icons = (WEB / "static/icons.svg").read_text()
    for place in PLACES:
        assert not place.in_header or f'id="{place.name.lower()}"' in icons


@pytest.mark.parametrize("place", PLACES, ids=lambda one: str(one.name))
def test_a_page_is_there_and_marked_in_the_header(
    operator: Operator, place: Place
) -> None:
    page = operator.get(place.path)
    assert page.status_code == 200
    header = page.text.partition("<nav ")[2].partition("</nav>")[0]
    marked = re.findall(r'<a href="([^"]+)" aria-current="page">', header)
    assert marked == [
        one.path for one in PLACES if one.in_header and one.includes(place.path)
    ]
    for one in PLACES:
        assert f'data-place="{one.path}" data-name="{one.name}">{one.key}<' in page.text
