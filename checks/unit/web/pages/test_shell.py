"""The app shell: the manifest, the service worker, and the page shown offline."""

import json
import re
import struct
from typing import Final

import pytest

from checks.kits.web.app import COOKIE, HOST, URL, Operator, make_app
from checks.kits.web.hive import FakeHive
from pyglue.paths import share

STATIC: Final = share() / "web" / "static"
SENT: Final = {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker"}


def shell(text: str) -> dict[str, object]:
    first = text.splitlines()[0]
    found: dict[str, object] = json.loads(first.removeprefix("const SHELL = ")[:-1])
    return found


def test_the_manifest_names_icons_of_the_size_that_they_have() -> None:
    manifest = json.loads((STATIC / "manifest.webmanifest").read_text())
    assert manifest["start_url"] == manifest["scope"] == manifest["id"] == "/"
    sizes = set()
    for icon in manifest["icons"]:
        data = (STATIC / icon["src"]).read_bytes()
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", data[16:24])
            assert data.startswith(b"\x89PNG") and icon["sizes"] == f"{width}x{height}"
            sizes.add((width, icon.get("purpose", "any")))
    assert sizes == {(192, "any"), (512, "any"), (512, "maskable")}


@pytest.mark.parametrize("path", ["/login", "/offline"])
def test_every_page_links_the_manifest(stranger: Operator, path: str) -> None:
    text = stranger.get(path).text
    assert re.search(r'rel="manifest" href="/static/\w+/manifest.webmanifest"', text)
    assert text.count('name="theme-color"') == 2
    found = stranger.get("/static/manifest.webmanifest")
    assert found.content_type == "application/manifest+json"
    for shortcut in found.get_json(force=True)["shortcuts"]:
        assert stranger.get(shortcut["url"]).status_code == 401  # and no 404


def test_the_worker_is_told_files_that_everybody_gets(stranger: Operator) -> None:
    answer = stranger.get("/worker.js", **SENT)
    assert answer.content_type.startswith("text/javascript")
    assert answer.headers["Cache-Control"] == "no-store"
    files = shell(answer.text)["files"]
    assert isinstance(files, list) and files[0] == "/offline"
    for path in files:
        assert stranger.get(path).status_code == 200
    text = stranger.get("/offline").text
    linked = re.findall(r'(?:src|href)="(/static/[^"]+\.(?:css|js|svg))"', text)
    assert set(linked) <= set(files) and "<script" not in text


def test_its_version_is_that_of_the_files(
    hive: FakeHive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version() -> object:
        fresh = Operator(hive, make_app(hive))  # as after an update
        return shell(fresh.get("/worker.js").text)["version"]

    before = version()
    assert version() == before
    read = type(STATIC).read_bytes
    monkeypatch.setattr(type(STATIC), "read_bytes", lambda path: read(path) + b" ")
    assert version() != before


def test_the_offline_page_is_the_same_for_everybody(
    stranger: Operator, operator: Operator
) -> None:
    found = operator.get("/offline")
    assert found.text == stranger.get("/offline").text
    assert "cannot be reached" in found.text and "csrf" not in found.text
    assert not operator.hive.calls


def test_the_policy_lets_pages_have_a_worker_of_their_own(operator: Operator) -> None:
    for path in ("/", "/worker.js", "/offline", "/login"):
        policy = operator.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "worker-src 'self'" in policy and "manifest-src 'self'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/static/worker.js", "/static/live.js", "/offline"])
def test_no_other_script_may_be_a_worker(operator: Operator, path: str) -> None:
    assert operator.get(path, **SENT).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_other_site_gets_the_worker(stranger: Operator, site: str) -> None:
    sent = {**SENT, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "same-origin"}
    assert stranger.get("/worker.js", **sent).status_code == 403


def test_there_is_no_worker_under_a_shared_name(operator: Operator) -> None:
    client = operator.app.test_client(use_cookies=False)
    sent = {**SENT, "Host": "127.0.0.1:7000", "Cookie": f"{COOKIE}={operator.session}"}
    answer = client.get("/worker.js", base_url=URL, headers=sent)
    assert not answer.content_type.startswith("text/javascript")
    assert HOST not in answer.text
