"""Headers and cookies of every answer."""

import re

import pytest

from checks.kits.web.app import HOST, Operator


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
