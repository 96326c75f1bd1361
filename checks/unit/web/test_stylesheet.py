"""The stylesheets: sizes of text and colours are tokens, which are set in one place."""

import re
from typing import Final

import pytest

from checks.kits.web.app import Operator
from pyglue.paths import share

STATIC: Final = share() / "web" / "static"
SHEETS: Final = ("hive.css", "diff.css", "inter.css")
TEMPLATES: Final = sorted((share() / "web" / "templates").rglob("*.html"))


def declared(name: str) -> list[tuple[str, str]]:
    """Return the declarations of a sheet that set no token."""
    text = re.sub(r"/\*.*?\*/", "", (STATIC / name).read_text(), flags=re.DOTALL)
    found = re.findall(r"([-a-z]+):\s*([^;{}]+)", text)
    return [(key, value) for key, value in found if not key.startswith("--")]


@pytest.mark.parametrize("name", SHEETS)
def test_text_has_the_sizes_of_the_scale(name: str) -> None:
    sizes = {value.strip() for key, value in declared(name) if key == "font-size"}
    odd = {one for one in sizes if not re.fullmatch(r"var\(--text-\w+\)", one)}
    assert odd <= {"0", ".875em"}  # not shown; code, beside text of any size


@pytest.mark.parametrize("name", SHEETS)
def test_spacing_goes_in_steps_of_4_pixels_or_half_of_one(name: str) -> None:
    for key, value in declared(name):
        if re.match("margin|padding|gap", key):
            for rem in re.findall(r"([0-9]*\.?[0-9]+)rem", value):
                assert float(rem) * 16 % 2 == 0, (key, value)


@pytest.mark.parametrize("name", SHEETS)
def test_colours_are_tokens(name: str) -> None:
    for key, value in declared(name):
        if "shadow" in key or (key == "background" and value.strip() == "#000"):
            continue  # of a terminal
        assert not re.search(r"#[0-9a-f]{3,8}\b", value), (key, value)


def test_there_are_three_levels_of_headings() -> None:
    for path in TEMPLATES:
        assert not re.search(r"<h[4-6]", path.read_text()), path.name


def test_all_icons_are_in_one_sprite(operator: Operator) -> None:
    sprite = operator.get("/static/icons.svg")
    assert sprite.content_type.startswith("image/svg+xml")
    known = set(re.findall(r'<symbol id="(\w+)"', sprite.text))
    used: set[str] = set()
    for path in TEMPLATES:
        text = path.read_text()
        used |= set(re.findall(r'm\.icon\("(\w+)"\)', text))
        assert "<path" not in text, path.name
    assert used <= known


def test_what_an_empty_list_says_is_one_component() -> None:
    for path in TEMPLATES:
        found = re.findall(r'<p class="empty">', path.read_text())
        assert len(found) == (path.name == "macros.html"), path.name
