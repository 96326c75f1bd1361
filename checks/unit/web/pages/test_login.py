"""Logging in and out: codes, redirects, cookies."""

import pytest

from checks.kits.web.app import COOKIE, Operator, make_app, refusing
from checks.kits.web.hive import FakeHive
from pyglue.api.logins import LoginParams, LoginResult
from pyglue.config import WebConfig
from pyglue.errors import ErrorCode

# --- the login -----------------------------------------------------------------


def test_opening_the_link_consumes_nothing(stranger: Operator) -> None:
    code = stranger.hive.new_code()
    for _ in range(2):
        page = stranger.get(f"/login?code={code}")
        assert page.status_code == 200
        assert f'value="{code}"' in page.text
    assert code in stranger.hive.codes
    assert not stranger.hive.calls


def test_logging_in_and_out(stranger: Operator) -> None:
    code = stranger.hive.new_code()
    answer = stranger.post("/login", {"code": code})
    assert (answer.status_code, answer.location) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie
    assert stranger.get("/").status_code == 200
    (stranger.session,) = stranger.hive.sessions
    left = stranger.post("/logout")
    assert (left.status_code, left.location) == (303, "/login")
    assert not stranger.hive.sessions
    assert stranger.get("/").status_code == 401


@pytest.mark.parametrize("code", ["", "used-or-too-old", "<script>", "x" * 5000])
def test_a_code_that_does_not_live_is_refused(stranger: Operator, code: str) -> None:
    answer = stranger.post("/login", {"code": code})
    assert answer.status_code == 401
    assert "expired or was already used" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_code_works_once(stranger: Operator) -> None:
    code = stranger.hive.new_code()
    assert stranger.post("/login", {"code": code}).status_code == 303
    assert stranger.post("/login", {"code": code}).status_code == 401


def test_a_log_in_leads_to_the_page_that_asked_for_it(stranger: Operator) -> None:
    asked = stranger.get("/approvals/7?view=split")
    assert asked.status_code == 401
    assert 'name="next" value="/approvals/7?view=split"' in asked.text
    code = stranger.hive.new_code()
    sent = {"code": code, "next": "/approvals/7?view=split"}
    assert stranger.post("/login", sent).location == "/approvals/7?view=split"


@pytest.mark.parametrize(
    ("site", "asks"), [("none", False), ("same-origin", False), ("cross-site", True)]
)
def test_who_was_not_led_here_is_not_asked_to_reload(
    stranger: Operator, site: str, asks: bool
) -> None:
    sent = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    page = stranger.get("/approvals/7", **sent)
    assert page.status_code == 401
    assert ("Already logged in?" in page.text) is asks
    assert "The dashboard of a hive of Claude Code agents." in page.text


@pytest.mark.parametrize(
    "place",
    ["//evil.example", "/\\evil.example", "https://evil.example", "", "x", "/a\n"],
)
def test_a_log_in_leads_to_no_other_site(stranger: Operator, place: str) -> None:
    sent = {"code": stranger.hive.new_code(), "next": place}
    assert stranger.post("/login", sent).location == "/"


def test_the_whole_link_is_taken_for_its_code(stranger: Operator) -> None:
    answer = stranger.post("/login", {"code": f" {stranger.hive.link()}\n"})
    assert answer.status_code == 303


def test_a_browser_is_trusted_only_where_the_host_allows_it(
    stranger: Operator, hive: FakeHive
) -> None:
    asked: list[LoginParams] = []
    answer = hive._login

    async def login(params: LoginParams) -> LoginResult:
        asked.append(params)
        return await answer(params)

    hive.overrides["login"] = login
    assert "Trust this browser" not in stranger.get("/").text
    assert "login.js" in stranger.get("/login?code=x").text
    app = make_app(hive, WebConfig(trusted_days=7))
    trusting = Operator(hive, app)
    shown = (trusting.get("/"), trusting.get("/login?code=x"))
    for page in shown:
        assert "Trust this browser for 7 days" in page.text
        assert "logged out after 12 hours" in page.text
        assert 'name="trusted" value="yes">' in page.text  # not ticked
        assert "login.js" not in page.text  # it would choose for the operator
    for more in ({}, {"trusted": "yes"}):
        sent = {"code": hive.new_code(), **more}
        assert trusting.post("/login", sent).status_code == 303
    assert [one.trusted for one in asked] == [False, True]


def test_a_refused_trust_is_said(stranger: Operator, hive: FakeHive) -> None:
    hive.overrides["login"] = refusing(ErrorCode.FORBIDDEN, "It trusts no browser.")
    answer = stranger.post("/login", {"code": hive.new_code(), "trusted": "yes"})
    assert answer.status_code == 403
    assert "It trusts no browser." in answer.text
    assert "Set-Cookie" not in answer.headers


def test_another_site_cannot_log_its_visitor_in(stranger: Operator) -> None:
    code = stranger.hive.new_code()
    answer = stranger.post("/login", {"code": code}, Origin="https://evil.example")
    assert answer.status_code == 403
    assert code in stranger.hive.codes


def test_by_https_the_cookie_is_secure_and_bound_to_the_host(hive: FakeHive) -> None:
    web = WebConfig(external_url="https://hive.example")
    app = make_app(hive, web)
    answer = app.test_client().post(
        "/login",
        base_url="http://hive.example",
        headers={"Origin": "https://hive.example"},
        data={"code": hive.new_code()},
    )
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"__Host-{COOKIE}=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
