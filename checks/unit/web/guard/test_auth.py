"""Who may ask: every refusal of Host, Origin, session and CSRF."""

import hashlib
import hmac
import re

import pytest
from flask import Flask

from checks.kits.web import hive as fake_hive
from checks.kits.web.app import COOKIE, HOST, URL, Operator, make_app
from checks.kits.web.hive import FakeHive
from pyglue.config import WebConfig
from pyglue.web.guard.auth import csrf_token
from pyglue.web.guard.origins import Origins

PAGES = [
    "/",
    "/approvals",
    "/approvals/7",
    "/approvals/7/diff.txt",
    "/agents/alice",
    "/agents/alice/versions",
    "/messages/30",
    "/fragments/agents",
    "/fragments/approval/7",
    "/fragments/approval/7/file/0",
    "/fragments/approval/7/explain",
    "/fragments/agent/alice",
    "/api/status",
    "/api/agents",
    "/api/approvals/7",
    "/api/events",
]
FORMS: list[tuple[str, dict[str, str]]] = [
    ("/display", {"theme": "dark", "clock": "local"}),
    ("/send", {"to": "alice", "body": "hello"}),
    ("/inbox/31/read", {}),
    ("/api/inbox/mark", {"id": "31", "mark": "done"}),
    ("/inbox/31/unread", {}),
    ("/inbox/31/done", {}),
    ("/inbox/read-to/31", {}),
    ("/questions/4/answer", {"text": "yes"}),
    ("/agents/alice/stop", {}),
    ("/agents/alice/start", {}),
    ("/agents/alice/restart", {}),
    ("/agents/spawn", {"name": "erin", "description": ""}),
    ("/approvals/7/approve", {"commit": "a", "manifest": "b", "accept": "1"}),
    ("/approvals/7/explain", {"agent": "manager"}),
    ("/approvals/7/deny", {"reason": "no"}),
    ("/approvals/7/request-changes", {"text": "no"}),
    ("/api/approvals/7/request_changes", {"text": "no"}),
    ("/agents/alice/command", {"line": "/cancel"}),
    ("/agents/alice/account", {"account": "team"}),
    ("/agents/alice/do/pause", {}),
    ("/agents/alice/cancel", {"messages": "drop"}),
    ("/agents/alice/destroy", {}),
    ("/agents/alice/rollback/6", {}),
    ("/agents/alice/rebuild", {}),
    ("/agents/alice/api/model", {"model": "opus"}),
    ("/agents/alice/api/account", {"account": "team"}),
    ("/agents/alice/api/cancel", {}),
    ("/agents/alice/api/compact", {}),
    ("/agents/alice/api/queue/3/drop", {}),
    ("/agents/alice/api/queue/3/later", {}),
    ("/agents/alice/queue/3/drop", {}),
    ("/agents/alice/api/new_session", {}),
    ("/agents/draft", {"name": "erin", "description": ""}),
    ("/drafts/rita/discard", {}),
    ("/kept/olga/restore", {}),
    ("/kept/olga/purge", {"confirm": "olga"}),
    ("/operations/12/cancel", {}),
    ("/approvals/7/retry", {}),
    ("/rebuild", {}),
    ("/bulk", {"do": "pause", "agent": "alice"}),
    ("/pause", {"reason": ""}),
    ("/resume", {}),
    ("/notifications/test", {}),
    ("/notifications/1/remove", {}),
    ("/api/push", {"endpoint": "a", "p256dh": "b", "auth": "c", "browser": "d"}),
    ("/api/push/1/remove", {}),
    ("/logout", {}),
]
"""An example for every form that there is."""
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


# --- sessions ------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_without_a_session(stranger: Operator, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert not stranger.hive.calls
    if path.startswith("/api"):
        assert answer.content_type == "application/problem+json"
    elif not path.startswith("/fragments"):
        assert "hive login" in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_under_a_dead_session(operator: Operator, path: str) -> None:
    assert operator.session is not None
    operator.hive.end_session(operator.session)
    answer = operator.get(path)
    assert answer.status_code == 401
    assert f"{COOKIE}=;" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(("path", "form"), FORMS)
def test_no_form_works_without_a_session(
    stranger: Operator, path: str, form: dict[str, str]
) -> None:
    assert stranger.post(path, form).status_code == 401
    assert not stranger.hive.calls


@pytest.mark.parametrize("token", ["", "short", "x" * 257, "a b" * 10, "\u20ac" * 40])
def test_a_cookie_that_is_no_token_is_no_session(
    hive: FakeHive, app: Flask, token: str
) -> None:
    operator = Operator(hive, app, token)
    assert operator.get("/").status_code == 401
    assert not hive.calls


def test_static_files_need_no_session(stranger: Operator) -> None:
    assert stranger.get("/static/hive.css").status_code == 200


@pytest.mark.parametrize("path", ["/%2Fevil.example/", "/\\evil.example", "/\\/evil"])
def test_the_way_back_stays_on_this_site(stranger: Operator, path: str) -> None:
    html = stranger.get(path).text
    assert 'href="/evil' in html
    assert 'href="//' not in html
    assert 'href="/\\' not in html


def test_every_form_is_among_the_examples(app: Flask) -> None:
    known = app.url_map.bind("127.0.0.1")
    examples = {known.match(path, method="POST")[0] for path, _ in FORMS}
    posted = {
        one.endpoint
        for one in app.url_map.iter_rules()
        if "POST" in (one.methods or ())
    }
    assert examples == posted - {"login.submit", "hooks.deliver"}


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


def test_the_cookie_alone_makes_no_token(operator: Operator) -> None:
    """Who saw the cookie, and not the name, can neither read a token nor make one."""
    guesses = ("csrf", "csrf ", "csrf http://127.0.0.1:7000")
    for guess in guesses:
        key = (operator.session or "").encode()
        token = hmac.new(key, guess.encode(), hashlib.sha256).hexdigest()
        answer = operator.post("/send", {"to": "alice", "body": "x", "csrf": token})
        assert answer.status_code == 403
    assert not decisions(operator.hive)


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
    hive: FakeHive, web: WebConfig, host: str, status: int
) -> None:
    client = make_app(hive, web).test_client(use_cookies=False)
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


# --- what every answer carries -------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/login", "/nothing", "/api/status", "/send"])
def test_every_answer_has_its_headers(operator: Operator, path: str) -> None:
    headers = operator.get(path).headers
    policy = headers["Content-Security-Policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ):
        assert part in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/approvals/7", "/agents/alice", "/login?code=c"]
)
def test_pages_need_nothing_that_the_policy_forbids(
    operator: Operator, path: str
) -> None:
    html = operator.get(path).text
    for forbidden in (" style=", "<style", " onclick", "javascript:", "http://"):
        assert forbidden not in html
    ours = re.findall(r'<script( type="module")? src="/static/[^"]+"( defer)?>', html)
    assert html.count("<script") == len(ours)


def test_a_forged_flash_is_not_shown(operator: Operator) -> None:
    forged = "Rm9yZ2Vk." + "0" * 64
    operator.client.set_cookie("hive_flash_7000", forged, domain=HOST)
    assert 'data-testid="flash"' not in operator.get("/").text


def test_a_flash_is_shown_once(operator: Operator) -> None:
    operator.post("/send", {"to": "alice", "body": "hello"})
    assert "sent to alice" in operator.get("/").text
    assert "sent to alice" not in operator.get("/").text
