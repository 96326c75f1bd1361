"""The pages' libraries: only the named files, only for logged-in users."""

import re

import pytest

from checks.kits.web.app import Operator
from pyglue.paths import share
from pyglue.web.pages import vendor


@pytest.mark.parametrize("name", sorted(vendor.libraries(share() / "web")))
def test_every_named_library_is_served(operator: Operator, name: str) -> None:
    answer = operator.get(f"/static/vendor/{name}")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"].endswith("max-age=86400")
    assert answer.headers["Content-Type"].startswith(
        ("text/javascript", "text/css", "font/woff2", "text/plain")
    )


@pytest.mark.parametrize(
    "name", ["axe.js", "..%2f..%2fpackage.json", "package.json", "uplot.js.map"]
)
def test_nothing_else_is_served(operator: Operator, name: str) -> None:
    assert operator.get(f"/static/vendor/{name}").status_code == 404


def test_a_stranger_gets_no_library(stranger: Operator) -> None:
    assert stranger.get("/static/vendor/uplot.js").status_code != 200


def test_what_is_pinned_names_no_host() -> None:
    lock = (share() / "web" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert not re.search(r"https?://", lock)
