"""Forms and links of other sites: every refusal of Origin and of CSRF tokens."""

import functools
import hashlib
import hmac
from collections.abc import Callable

import pytest
from flask import Flask

from checks.kits.web.app import COOKIE, HOST, URL, Operator, make_app
from checks.kits.web.hive import FakeHive
from checks.kits.web.pages import FORMS
from pyglue.config import WebConfig
from pyglue.web.guard.auth import csrf_token

READING = {"status", "agents", "agent", "approvals", "approval", "operation", "compare"}


def decisions(hive: FakeHive) -> list[str]:
    """Return the names of all calls that change something."""
    reading = {
        *READING,
        "inbox",
        "messages",
        "questions",
        "operations",
        "drafts",
        "kept",
        "subscribe",
        "queue",
    }
    return [name for name, _ in hive.calls if name not in reading]


def test_the_cookie_alone_makes_no_token(operator: Operator) -> None:
    """Who saw the cookie, and not the name, can neither read a token nor make one."""
    guesses = ("csrf", "csrf ", "csrf http://127.0.0.1:7000")
    for guess in guesses:
        key = (operator.session or "").encode()
        token = hmac.new(key, guess.encode(), hashlib.sha256).hexdigest()
        answer = operator.post("/send", {"to": "alice", "body": "x", "csrf": token})
        assert answer.status_code == 403
    assert not decisions(operator.hive)


@pytest.mark.parametrize(
    "sent",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"},
        {
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "iframe",
        },
        {"Service-Worker": "script"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/status", "/static/hive.css", "/login"])
def test_what_another_site_loads_from_here_is_refused(
    operator: Operator, path: str, sent: dict[str, str]
) -> None:
    assert operator.get(path, **sent).status_code == 403
    assert not operator.hive.calls


def test_a_link_from_another_site_is_followed(operator: Operator) -> None:
    sent = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert operator.get("/login?code=x", **sent).status_code == 200
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert operator.get("/api/status", **own).status_code == 200


@pytest.fixture(scope="module")
def app_of(running: FakeHive) -> Callable[[WebConfig], Flask]:
    """Make the app for a config, once: that takes 0.1 s."""
    return functools.cache(lambda web: make_app(running, web))


@pytest.mark.parametrize(
    ("web", "host", "status"),
    [
        (WebConfig(external_url="https://hive.example"), "hive.example", 200),
        (WebConfig(external_url="https://hive.example"), "hive.example:443", 200),
        (WebConfig(external_url="https://hive.example"), "hive.example:8443", 400),
        (WebConfig(external_url="https://hive.example:8443"), "hive.example:8443", 200),
        (WebConfig(external_url="https://hive.example:8443"), "hive.example", 400),
        (WebConfig(host="192.0.2.1", port=7001), "192.0.2.1:7001", 200),
        (WebConfig(host="192.0.2.1", port=7001), "192.0.2.1", 400),
        (WebConfig(external_url="http://127.0.0.1:7000"), f"{HOST}:7000", 200),
        (WebConfig(external_url="http://me.localhost:7000"), "me.localhost:7000", 400),
        (WebConfig(trusted_hosts=("127.0.0.1", "localhost")), f"{HOST}:7000", 200),
        (WebConfig(trusted_hosts=("hive.lan",)), "hive.lan:7000", 200),
        (WebConfig(trusted_hosts=("hive.lan",)), "hive.lan", 400),
        (WebConfig(trusted_hosts=("hive.lan:81",)), "hive.lan:81", 200),
        (WebConfig(trusted_hosts=("hive.lan",)), "a.hive.lan:7000", 400),
    ],
)
def test_addresses_are_compared_whole(
    hive: FakeHive,
    app_of: Callable[[WebConfig], Flask],
    web: WebConfig,
    host: str,
    status: int,
) -> None:
    client = app_of(web).test_client(use_cookies=False)
    name = f"__Host-{COOKIE}" if "https" in str(web.external_url) else COOKIE
    sent = {"Host": host, "Cookie": f"{name.replace('7000', str(web.port))}="}
    sent["Cookie"] += hive.new_session()
    assert client.get("/", headers=sent).status_code == status


FOREIGN = [
    "",
    "null",
    "https://evil.example",
    f"http://{HOST}:7001",
    f"http://{HOST}",
    f"https://{HOST}:7000",
    f"{URL}.evil.example",
    f"{URL}/",
    "http://127.0.0.1:7000",
    "http://localhost:7000",
]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(("path", "form"), FORMS)
def test_a_foreign_origin_is_refused(
    operator: Operator, path: str, form: dict[str, str], origin: str
) -> None:
    assert operator.post(path, form, Origin=origin).status_code == 403
    assert not decisions(operator.hive)


def test_a_form_without_an_origin_is_refused(operator: Operator) -> None:
    operator.headers = {}
    answer = operator.post("/send", {"to": "alice", "body": "hello"})
    assert answer.status_code == 403
    assert not decisions(operator.hive)


@pytest.mark.parametrize(("path", "form"), FORMS)
@pytest.mark.parametrize(
    "token", ["", "wrong", "\u20ac", csrf_token("other session", URL)]
)
def test_a_form_without_this_session_s_token_is_refused(
    operator: Operator, path: str, form: dict[str, str], token: str
) -> None:
    assert operator.post(path, {**form, "csrf": token}).status_code == 403
    assert not decisions(operator.hive)


@pytest.mark.parametrize(("path", "form"), FORMS)
def test_reading_a_form_s_address_changes_nothing(
    operator: Operator, path: str, form: dict[str, str]
) -> None:
    assert operator.get(path).status_code in (200, 404, 405)  # some ask first
    assert not decisions(operator.hive)


def test_tokens_survive_a_restart(hive: FakeHive) -> None:
    session = hive.new_session()
    Operator(hive, make_app(hive), session).get("/")
    after = Operator(hive, make_app(hive), session)
    answer = after.post("/send", {"to": "alice", "body": "still here"})
    assert answer.status_code == 303
