"""Display settings: stored in the browser, and only valid values."""

import pytest

from checks.kits.web.app import HOST, URL, Operator

DARK = {"theme": "dark", "clock": "local"}


def test_a_choice_is_kept_in_a_cookie_that_says_nothing_else(
    operator: Operator,
) -> None:
    answer = operator.post("/display", DARK | {"back": "/charts"})
    assert (answer.status_code, answer.location) == (303, "/charts")
    kept = next(c for c in answer.headers.getlist("Set-Cookie") if "display" in c)
    assert kept.split(";")[0].endswith("=dark.local")
    assert "HttpOnly" in kept and "SameSite=Strict" in kept
    assert (
        '<html lang="en" data-theme="dark" data-clock="local">'
        in operator.get("/").text
    )


@pytest.mark.parametrize("field", ["theme", "clock"])
@pytest.mark.parametrize("value", ["", "Dark", "dark light", '"><script>', "x" * 5000])
def test_what_is_no_choice_is_refused(
    operator: Operator, field: str, value: str
) -> None:
    answer = operator.post("/display", DARK | {field: value})
    assert answer.status_code in (400, 413)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "sent", ["", "dark", "dark.mars", "dark.local.utc", '"><b>.utc']
)
def test_a_cookie_that_is_no_choice_is_the_default(
    operator: Operator, sent: str
) -> None:
    operator.client.set_cookie("hive_display_7000", sent, domain=HOST)
    page = operator.get("/").text
    assert '<html lang="en" data-theme="system" data-clock="utc">' in page


def test_nobody_else_chooses(operator: Operator) -> None:
    for headers in ({"Origin": URL}, {"Origin": "http://elsewhere.test"}):
        answer = operator.client.post(
            "/display", base_url=URL, data=DARK, headers=headers
        )
        assert answer.status_code == 403, headers
