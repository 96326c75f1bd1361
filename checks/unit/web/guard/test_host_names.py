"""The names of the dashboard: which have a session, and which are refused."""

import pytest
from flask import Flask

from checks.kits.web import hive as fake_hive
from checks.kits.web.app import COOKIE, HOST, URL, Operator, make_app
from checks.kits.web.hive import FakeHive
from checks.kits.web.pages import FORMS, PAGES
from pyglue.web.guard.auth import csrf_token
from pyglue.web.guard.origins import Origins


# --- Host, Origin, CSRF --------------------------------------------------------
@pytest.mark.parametrize("path", ["/", "/login", "/static/hive.css", "/api/status"])
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:7000", "", "a b"]
)
def test_a_foreign_host_name_is_refused(
    operator: Operator, path: str, host: str
) -> None:
    answer = operator.client.get(path, base_url=URL, headers={"Host": host})
    assert answer.status_code == 400
    assert not operator.hive.calls


SHARED = ["localhost:7000", "127.0.0.1:7000", "127.0.0.1", "[::1]:7000", "127.9.9.9:1"]
"""Names that every program on this machine has too."""


@pytest.mark.parametrize("host", SHARED)
@pytest.mark.parametrize("path", PAGES)
def test_a_shared_name_has_no_session(operator: Operator, path: str, host: str) -> None:
    sent = {"Host": host, "Cookie": f"{COOKIE}={operator.session}"}
    answer = operator.app.test_client(use_cookies=False).get(
        path, base_url=URL, headers=sent
    )
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert HOST not in answer.text and "<form" not in answer.text
    assert not operator.hive.calls
    if not path.startswith("/api"):
        assert "hive login" in answer.text


@pytest.mark.parametrize("host", SHARED)
def test_a_shared_name_only_says_how_to_log_in(operator: Operator, host: str) -> None:
    code = operator.hive.new_code()
    client = operator.app.test_client(use_cookies=False)
    sent = {"Host": host, "Origin": f"http://{host}"}
    page = client.get(f"/login?code={code}", base_url=URL, headers=sent)
    assert page.status_code == 200 and "hive login" in page.text
    for secret in (code, HOST, "<form", "http-equiv"):
        assert secret not in page.text
    posted = client.post("/login", base_url=URL, headers=sent, data={"code": code})
    assert posted.status_code == 401
    for answer in (page, posted):
        assert "Set-Cookie" not in answer.headers and "Location" not in answer.headers
    assert code in operator.hive.codes
    assert client.get("/static/hive.css", base_url=URL, headers=sent).status_code == 200


@pytest.mark.parametrize(("path", "form"), FORMS)
def test_no_form_works_by_a_shared_name(
    operator: Operator, path: str, form: dict[str, str]
) -> None:
    assert operator.session is not None
    here = "http://127.0.0.1:7000"
    for token in (
        csrf_token(operator.session, here),
        csrf_token(operator.session, URL),
    ):
        sent = {
            "Host": "127.0.0.1:7000",
            "Origin": here,
            "Cookie": f"{COOKIE}={operator.session}",
        }
        data = {**form, "csrf": token}
        answer = operator.app.test_client(use_cookies=False).post(
            path, base_url=URL, headers=sent, data=data
        )
        assert answer.status_code == 401
    assert not operator.hive.calls


@pytest.mark.parametrize(
    "host",
    [
        f"{HOST}:7001",
        HOST,
        f"{HOST}:80",
        f"{'f' * 32}.localhost:7000",
        f"a.{HOST}:7000",
        f"{HOST}.evil.example:7000",
        "dashboard.localhost:7000",
    ],
)
def test_our_name_at_another_port_and_names_like_it_are_refused(
    operator: Operator, host: str
) -> None:
    for origin in (URL, f"http://{host}"):
        sent = {
            "Host": host,
            "Origin": origin,
            "Cookie": f"{COOKIE}={operator.session}",
        }
        client = operator.app.test_client(use_cookies=False)
        data = {
            "to": "alice",
            "body": "x",
            "csrf": csrf_token(operator.session or "", origin),
        }
        for answer in (
            client.get("/", base_url=URL, headers=sent),
            client.post("/send", base_url=URL, headers=sent, data=data),
        ):
            assert answer.status_code == 400
            assert "Set-Cookie" not in answer.headers
    assert not operator.hive.calls


def test_our_name_is_known_in_any_case(operator: Operator) -> None:
    answer = operator.get("/", Host=f"{HOST.upper()}:7000")
    assert answer.status_code == 200


def test_another_name_of_hived_is_learned(
    hive: FakeHive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restored backup: hived is asked again when a browser comes by it."""
    known = make_app(hive)
    operator = Operator(hive, known, hive.new_session())
    assert operator.get("/").status_code == 200
    other = "f" * 32
    monkeypatch.setattr(fake_hive, "NAME", other)
    known.extensions["hyperhive"].origins._asked_at = float("-inf")
    client = known.test_client(use_cookies=False)
    sent = {"Cookie": f"{COOKIE}={operator.session}"}
    new = client.get("/", headers={"Host": f"{other}.localhost:7000", **sent})
    assert new.status_code == 200
    assert client.get("/", headers={"Host": f"{HOST}:7000", **sent}).status_code == 400


def test_our_name_is_known_without_asking_once_hived_said_it(hive: FakeHive) -> None:
    origins = make_app(hive).extensions["hyperhive"].origins
    ours = hive.origin.removeprefix("http://")
    like = f"{'0' * 32}.localhost:7000"
    assert origins.knows(ours)
    assert origins.knows(like)
    assert not origins.knows("127.0.0.1:7000")
    assert origins.of(ours) == hive.origin
    assert origins.knows(ours)
    for other in (
        like,
        "",
        "127.0.0.1",
        f"a{ours}",
        ours.split(":")[0],
        f"{ours}0",
        "\x00",
    ):
        assert not origins.knows(other), other


def test_strange_names_do_not_ask_hived_again(
    hive: FakeHive, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator(hive, app, hive.new_session())
    assert operator.get("/").status_code == 200
    asked = []
    monkeypatch.setattr(Origins, "_ask", lambda _self: asked.append(1) or URL)
    for number in range(50):
        host = f"{number:032x}.localhost:7000"
        assert operator.get("/", Host=host).status_code == 400
    assert len(asked) <= 1
