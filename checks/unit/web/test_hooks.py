"""The addresses of webhooks: forwarded unread, without a session, at any name."""

from typing import Any, Final

import pytest
from werkzeug.test import TestResponse

from checks.kits.web.app import URL, Operator, refusing
from checks.kits.web.hive import FakeHive
from pyglue.api.wakeups import WebhookOutcome, WebhookResult
from pyglue.errors import ErrorCode
from pyglue.limits import MIB

PATH: Final = "/hooks/alice/ci"


def taking(hive: FakeHive, outcome: WebhookOutcome = WebhookOutcome.ACCEPTED) -> None:
    async def take(_params: object) -> WebhookResult:
        return WebhookResult(outcome=outcome)

    hive.overrides["webhook"] = take


def post(who: Operator, body: bytes = b"{}", **options: Any) -> TestResponse:
    return who.client.post(PATH, **{"base_url": URL, "data": body, **options})


def test_a_delivery_is_passed_on_as_it_came(stranger: Operator) -> None:
    taking(stranger.hive)
    body = b'{"a": "\xc3\xa4\xff"}\r\n'
    headers = {
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": "sha256=0",
        "X-Other": "x",
        "Cookie": "a=b",
        "Content-Type": "application/json",
    }
    answer = post(stranger, body, headers=headers)
    assert (answer.status_code, answer.text) == (202, "accepted\n")
    assert answer.content_type == "text/plain; charset=utf-8"
    (asked,) = stranger.hive.called("webhook")
    assert (asked.agent, asked.hook, asked.body) == ("alice", "ci", body)
    assert asked.headers == {
        "x-github-event": "push",
        "x-hub-signature-256": "sha256=0",
        "content-type": "application/json",
    }


@pytest.mark.parametrize("name", ["127.0.0.1:7000", "hive.example", "tunnel.example:1"])
def test_forges_come_by_any_name_and_from_any_origin(
    stranger: Operator, name: str
) -> None:
    taking(stranger.hive)
    headers = {"Host": name, "Origin": "https://forge.example"}
    assert post(stranger, headers=headers).status_code == 202


def test_no_session_is_read_and_none_is_given(operator: Operator) -> None:
    taking(operator.hive)
    answer = post(operator)
    assert answer.status_code == 202
    assert "Set-Cookie" not in answer.headers
    for method in ("get", "put", "delete"):
        asked = getattr(operator.client, method)(PATH, base_url=URL)
        assert asked.status_code in (403, 405)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.FORBIDDEN, 403),
        (ErrorCode.RATE_LIMITED, 429),
        (ErrorCode.TOO_MANY, 503),
        (ErrorCode.UNAVAILABLE, 503),
    ],
)
def test_a_refusal_is_one_plain_line(
    stranger: Operator, code: ErrorCode, status: int
) -> None:
    stranger.hive.overrides["webhook"] = refusing(code, "Not so.")
    answer = post(stranger)
    assert (answer.status_code, answer.text) == (status, "Not so.\n")
    assert ("Retry-After" in answer.headers) == (status in (429, 503))


def test_what_is_too_large_is_not_passed_on(stranger: Operator) -> None:
    taking(stranger.hive)
    assert post(stranger, b"x" * MIB).status_code == 202
    answer = post(stranger, b"x" * (MIB + 1))
    assert answer.status_code == 413
    assert answer.text == "The delivery is too large: the limit is 1 MiB.\n"
    assert len(stranger.hive.called("webhook")) == 1


@pytest.mark.parametrize("outcome", list(WebhookOutcome))
def test_every_outcome_is_202(stranger: Operator, outcome: WebhookOutcome) -> None:
    taking(stranger.hive, outcome)
    answer = post(stranger)
    assert (answer.status_code, answer.text) == (202, f"{outcome}\n")


def test_other_paths_below_are_none(stranger: Operator) -> None:
    for path in ("/hooks", "/hooks/alice", "/hooks/alice/ci/x", "/hooks//ci"):
        answer = stranger.client.post(path, base_url=URL, data=b"{}")
        assert answer.status_code in (403, 404, 308)
        assert not stranger.hive.called("webhook")
