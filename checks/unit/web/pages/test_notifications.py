"""The page of notifications, and the calls of its script."""

from typing import Any

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, refusing
from pyglue.errors import ErrorCode
from pyglue.web.pages.notifications import browser_name

FORM = {"endpoint": "https://push.example/x", "p256dh": "B", "auth": "A"}


def test_the_page_lists_browsers_and_what_is_sent(operator: Operator) -> None:
    operator.hive.browsers = [
        data.browser(1),
        data.browser(2, browser="Evil\u202e<b>", problem="it <i>said</i> no"),
    ]
    page = operator.get("/notifications").text
    assert "Firefox on Android" in page and "updates.push.services" in page
    assert "22:00-07:00" in page and "approvals, questions" in page
    assert "&lt;b&gt;" in page and "\u202e" not in page and "<i>said" not in page
    assert page.count('data-testid="browser"') == 2
    assert f'data-push="{data.PUSH_KEY}"' in page


def test_the_page_of_a_hive_without_push(operator: Operator) -> None:
    operator.hive.push_key = None
    page = operator.get("/notifications").text
    assert "webPush.enable" in page and 'id="push-this"' not in page
    assert 'data-push=""' in page


def test_a_browser_is_removed_and_a_test_sent(operator: Operator) -> None:
    assert operator.post("/notifications/1/remove").status_code == 303
    assert operator.hive.browsers == []
    assert operator.post("/notifications/1/remove").status_code == 404
    assert operator.post("/notifications/test").headers["Location"] == "/notifications"
    assert operator.hive.called("notify_test")


def test_the_script_subscribes(operator: Operator) -> None:
    answer = operator.post("/api/push", {**FORM, "browser": "Firefox/140"})
    assert answer.get_json() == {"id": 2}
    (asked,) = operator.hive.called("push_subscribe")
    assert (asked.endpoint, asked.browser) == (FORM["endpoint"], "Firefox/140")
    assert operator.get("/api/notifications").get_json()["browsers"][1]["id"] == 2
    assert operator.post("/api/push/2/remove").status_code == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (FORM, 400),
        ({**FORM, "browser": "x" * 301}, 413),
        ({**FORM, "browser": "x", "endpoint": "https://a/" + "x" * 1024}, 413),
        ({**FORM, "browser": "x", "more": "y"}, 400),
    ],
)
def test_what_is_no_subscription_is_refused(
    operator: Operator, form: dict[str, Any], status: int
) -> None:
    assert operator.post("/api/push", form).status_code == status
    assert not operator.hive.called("push_subscribe")


def test_a_refusal_is_said(operator: Operator) -> None:
    sentence = "The push service 10.0.0.7:443 has no public address."
    operator.hive.overrides["push_subscribe"] = refusing(ErrorCode.FORBIDDEN, sentence)
    answer = operator.post("/api/push", {**FORM, "browser": "x"})
    assert answer.status_code == 403
    assert answer.get_json()["detail"] == sentence


MOZILLA = "Mozilla/5.0"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/604.1"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (f"{MOZILLA} (X11; Linux x86_64) {CHROME}", "Chrome on Linux"),
        (f"{MOZILLA} (Windows NT 10.0; x64) {CHROME} Edg/150.0", "Edge on Windows"),
        (f"{MOZILLA} (iPhone; CPU OS 19 like Mac OS X) {SAFARI}", "Safari on iPhone"),
        (f"{MOZILLA} (Macintosh; Mac OS X 15) Firefox/140.0", "Firefox on macOS"),
        ("curl/8", "curl/8"),
        ("Firefox/140", "Firefox"),
    ],
)
def test_browsers_have_names(agent: str, name: str) -> None:
    assert browser_name(agent) == name
