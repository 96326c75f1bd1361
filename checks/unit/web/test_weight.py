"""Size of the first load of each page; only static files are compressed."""

import gzip
import posixpath
import re

import pytest
from flask import Flask

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from checks.kits.web.hive import FakeHive

LIMIT = 150 * 1024
PAGES = (
    "/",
    "/approvals",
    "/approvals/7",
    "/approvals/7?view=split",
    "/agents/alice",
    "/messages",
    "/messages/pairs",
    "/inbox",
    "/charts",
    "/activity",
    "/operations",
    "/doctor",
    "/notifications",
)


@pytest.fixture(scope="module")
def operator(running: FakeHive, app: Flask) -> Operator:
    many = [data.agent(f"a{n}", context_fill=0.3) for n in range(195)]
    running.agents += many
    running.messages = [data.message(n, body="word " * 400) for n in range(99, 1, -1)]
    return Operator(running, app, running.new_session())


def linked(text: str, path: str) -> set[str]:
    """Return the addresses of all that a page or a script loads at once."""
    found = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text))
    if path.endswith((".js", ".mjs")):
        names = re.findall(r'^import .*?"(\./[^"]+)";', text, re.MULTILINE)
        found |= {posixpath.join(posixpath.dirname(path), name[2:]) for name in names}
    return found


@pytest.mark.parametrize("path", PAGES)
def test_a_first_load_is_light(operator: Operator, path: str) -> None:
    page = operator.get(path)
    assert page.status_code == 200
    sizes = {path: len(gzip.compress(page.data, 6))}
    waiting = linked(page.text, path)
    while waiting:
        address = waiting.pop()
        answer = operator.get(address, **{"Accept-Encoding": "gzip"})
        assert answer.status_code == 200, address
        sizes[address] = len(answer.data)
        is_packed = answer.headers.get("Content-Encoding") == "gzip"
        text = gzip.decompress(answer.data) if is_packed else answer.data
        waiting |= linked(text.decode(errors="replace"), address) - set(sizes)
    names = {address.rpartition("/")[2] for address in sizes}
    assert {"hive.css", "live.js"} <= names
    assert "logs.js" in names  # imported, not linked
    assert sum(sizes.values()) < LIMIT, sizes


@pytest.mark.parametrize("path", [*PAGES, "/api/status", "/fragments/agents"])
def test_what_holds_a_secret_is_never_compressed(operator: Operator, path: str) -> None:
    answer = operator.get(path, **{"Accept-Encoding": "gzip, br, deflate"})
    assert "Content-Encoding" not in answer.headers


def test_a_static_file_travels_compressed(operator: Operator) -> None:
    plain = operator.get("/static/hive.css")
    packed = operator.get("/static/hive.css", **{"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 2
    assert int(packed.headers["Content-Length"]) == len(packed.data)
    for answer in (plain, packed):
        assert answer.headers["Vary"] == "Accept-Encoding"
    tag = packed.headers["ETag"]
    again = operator.get(
        "/static/hive.css", **{"Accept-Encoding": "gzip", "If-None-Match": tag}
    )
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("given", ["", "identity", "gzip;q=0", "br"])
def test_who_does_not_take_it_gets_it_plain(operator: Operator, given: str) -> None:
    answer = operator.get("/static/hive.css", **{"Accept-Encoding": given})
    assert "Content-Encoding" not in answer.headers
    assert answer.text.startswith("/*")
