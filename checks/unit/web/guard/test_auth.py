"""Who may ask: nothing is shown or done without a live session."""

import pytest
from flask import Flask

from checks.kits.web.app import Operator
from checks.kits.web.hive import FakeHive
from checks.kits.web.pages import FORMS, PAGES


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
    # A late answer to an old tab must not undo a login that has replaced its cookie.
    assert "Set-Cookie" not in answer.headers


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
