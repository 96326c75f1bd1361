"""Static files: addresses that change with their content, and how long one is kept."""

import re
from pathlib import Path

import pytest

from checks.kits.web.app import Operator
from pyglue.paths import share
from pyglue.web.static_files import version_of

VERSION = version_of(share() / "web" / "static")


@pytest.mark.parametrize("path", ["/", "/approvals/7", "/agents/alice", "/charts"])
def test_pages_link_files_by_their_version(operator: Operator, path: str) -> None:
    text = operator.get(path).text
    linked = set(re.findall(r'(?:src|href)="(/static/[^"#]+)', text))
    ours = {one for one in linked if not one.startswith("/static/vendor/")}
    assert ours and all(one.startswith(f"/static/{VERSION}/") for one in ours)
    for address in ours:
        answer = operator.get(address)
        assert answer.status_code == 200
        kept = answer.headers["Cache-Control"]
        assert set(kept.split(", ")) == {"public", "max-age=31536000", "immutable"}


@pytest.mark.parametrize("version", ["", "000000000000/"])
def test_other_addresses_are_asked_for_again(operator: Operator, version: str) -> None:
    answer = operator.get(f"/static/{version}hive.css")
    assert answer.status_code == 200 and answer.text.startswith("/*")
    assert answer.headers["Cache-Control"] == "no-cache"
    tag = answer.headers["ETag"]
    again = operator.get(f"/static/{version}hive.css", **{"If-None-Match": tag})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        f"/static/{VERSION}/nothing.css",
        f"/static/{VERSION}/../app.py",
        f"/static/{VERSION}/%2e%2e/%2e%2e/templates/base.html",
        f"/static/{VERSION}//etc/passwd",
        f"/static/{VERSION}/{VERSION}/hive.css",
        "/static/00000000000/hive.css",
        f"/static/{VERSION}/",
        f"/static/{VERSION}",
    ],
)
def test_nothing_else_is_there(operator: Operator, path: str) -> None:
    answer = operator.get(path)
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_a_version_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("a")
    first = version_of(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", first) and version_of(tmp_path) == first
    (tmp_path / "a.js").write_text("b")
    second = version_of(tmp_path)
    (tmp_path / "a.js").rename(tmp_path / "b.js")
    third = version_of(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.js").write_text("")
    assert len({first, second, third, version_of(tmp_path)}) == 4


def test_scripts_and_styles_name_no_other_address() -> None:
    """Each would be a second copy of a script, or asked for again on each page."""
    for file in (share() / "web" / "static").iterdir():
        if file.suffix in (".js", ".css"):
            found = re.findall(r'"/static/(?!vendor/)[^"]*"', file.read_text())
            assert not found, file.name
