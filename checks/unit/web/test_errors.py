"""Every error is a sentence with what to do, on a page or as problem+json."""

import pytest

from checks.kits.web.app import Operator, refusing
from pyglue.errors import ErrorCode


def test_without_hived_pages_say_so_and_try_again(operator: Operator) -> None:
    operator.hive.stop()
    page = operator.get("/")
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "2"
    assert "The hive is not answering" in page.text
    assert 'http-equiv="refresh"' in page.text
    sent = operator.post("/send", {"to": "alice", "body": "x"})
    assert sent.status_code == 503
    assert "refresh" not in sent.text
    problem = operator.get("/api/status")
    assert problem.content_type == "application/problem+json"
    assert problem.json is not None
    assert problem.json["code"] == "unavailable"
    operator.hive.start()
    assert operator.get("/").status_code == 200


def test_a_restarted_hived_is_met_afresh(operator: Operator) -> None:
    assert operator.get("/").status_code == 200
    operator.hive.drop_connections()
    assert operator.get("/").status_code == 200


def test_a_bug_is_a_sentence(operator: Operator) -> None:
    operator.hive.overrides["approval"] = refusing(
        ErrorCode.INTERNAL, "agents failed inside the hive."
    )
    page = operator.get("/approvals/7")
    assert page.status_code == 500
    assert "agents failed inside the hive." in page.text


def test_our_own_bug_is_a_sentence_without_a_traceback(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyglue.web.pages.approvals.by_effect", lambda _: 1 / 0)
    page = operator.get("/approvals/7")
    assert page.status_code == 500
    assert "the log of hive-web has the details" in page.text
    assert "Traceback" not in page.text
    assert "ZeroDivision" not in page.text


@pytest.mark.parametrize(
    "path", ["/nope", "/approvals/99", "/api/nope", "/agents/erin"]
)
def test_what_is_not_there(operator: Operator, path: str) -> None:
    answer = operator.get(path)
    assert answer.status_code == 404
    assert answer.content_type.startswith(
        "application/problem+json" if path.startswith("/api") else "text/html"
    )


@pytest.mark.parametrize("path", ["/approvals/alice/deny", "/approvals/x", "/agents//"])
def test_a_form_to_a_page_that_is_not_there_is_no_bug(
    operator: Operator, path: str
) -> None:
    for headers in ({}, {"Origin": "http://evil.example"}):
        assert 400 <= operator.post(path, {"reason": "x"}, **headers).status_code < 500


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("No turn of alice is running.", "<h1>No turn of alice is running</h1>"),
        (
            "The name alice is taken. Choose another one.",
            "<h1>The name alice is taken</h1>\n<p>Choose another one.</p>",
        ),
        ("x" * 200, f"<h1>Conflict</h1>\n<p>{'x' * 200}</p>"),
    ],
)
def test_the_title_of_a_refusal_is_its_cause(
    operator: Operator, sentence: str, shown: str
) -> None:
    operator.hive.overrides["agent"] = refusing(ErrorCode.CONFLICT, sentence)
    assert shown in operator.get("/agents/alice").text


def test_only_who_wrote_something_is_told_that_it_is_still_there(
    operator: Operator,
) -> None:
    hint = "To keep editing your text, go back in your browser."
    lost = operator.post("/send", {"to": "", "body": "a long letter"})
    assert lost.status_code == 400
    assert hint in lost.text
    assert hint not in operator.post("/agents/alice/do/nothing").text
