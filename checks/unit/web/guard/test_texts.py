"""Every kind of invalid text, at the dashboard's listeners.

As for the command line, MCP and RPC (``unit/jsonrpc/test_texts.py``): a sentence says
what is wrong, nothing is changed into other text, and the next request is answered.
"""

from typing import Final
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from checks.kits.web.app import URL, Operator
from pyglue.api.messages import BODY_LIMIT
from pyglue.api.wakeups import WebhookOutcome, WebhookResult
from pyglue.web.guard.auth import csrf_token

KINDS: Final = {
    "surrogate": b"\xed\xa0\x80",
    "pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "overlong": b"\xc0\xaf",
    "overlong NUL": b"\xc0\x80",
    "beyond Unicode": b"\xf5\x80\x80\x80",
    "cut": b"\xe2\x82",
    "latin-1": b"caf\xe9",
    "UTF-16": "caf\u00e9".encode("utf-16"),
}
EVERY: Final = pytest.mark.parametrize("raw", KINDS.values(), ids=KINDS)
WORDS: Final = ("is not UTF-8: byte 0x", "Send the text as UTF-8.")


def form(operator: Operator, body: bytes) -> bytes:
    csrf = quote(csrf_token(operator.session or "", URL)).encode()
    return b"csrf=" + csrf + b"&to=alice&body=" + body


def send(
    operator: Operator,
    body: bytes,
    content: str = "application/x-www-form-urlencoded",
    path: str = "/send",
) -> TestResponse:
    headers = {**operator.headers, "Content-Type": content}
    return operator.client.post(path, base_url=URL, data=body, headers=headers)


def is_refused(operator: Operator, answer: TestResponse) -> None:
    assert answer.status_code == 400
    assert all(words in answer.text for words in WORDS)
    assert operator.hive.called("send") == []
    assert operator.get("/").status_code == 200


@EVERY
def test_a_form_with_it_is_refused(operator: Operator, raw: bytes) -> None:
    for body in (raw, quote(raw).encode(), b"a+b%20" + raw):
        answer = send(operator, form(operator, body))
        is_refused(operator, answer)
        assert "body" in answer.text
    is_refused(operator, send(operator, form(operator, b"x") + b"&" + raw + b"=1"))


@EVERY
def test_a_form_in_parts_with_it_is_refused(operator: Operator, raw: bytes) -> None:
    fields = {
        b"csrf": csrf_token(operator.session or "", URL).encode(),
        b"to": b"alice",
        b"body": raw,
    }
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % pair
        for pair in fields.items()
    )
    is_refused(operator, send(operator, body + b"--x--\r\n", _PARTS))


_PARTS: Final = "multipart/form-data; boundary=x"


@EVERY
def test_the_json_api_names_the_field(operator: Operator, raw: bytes) -> None:
    answer = send(operator, form(operator, raw), path="/api/approvals/7/deny")
    is_refused(operator, answer)
    assert answer.content_type == "application/problem+json"
    answer = operator.get(f"/api/messages?text={quote(raw)}")
    is_refused(operator, answer)
    assert answer.content_type == "application/problem+json"
    assert "'text'" in answer.text


@EVERY
def test_a_query_and_a_path_with_it_are_refused(operator: Operator, raw: bytes) -> None:
    for path in (f"/?q={quote(raw)}", f"/messages?text={quote(raw)}"):
        is_refused(operator, operator.get(path))
    for path in (f"/agents/{quote(raw)}", f"/api/agents/{quote(raw)}"):
        answer = operator.get(path)
        assert answer.status_code in (400, 404)
        assert operator.get("/").status_code == 200


@EVERY
def test_a_header_with_it_harms_nothing(operator: Operator, raw: bytes) -> None:
    """A header is bytes; no value of one is shown or stored as text."""
    value = raw.decode("latin-1")
    names = ("User-Agent", "Accept", "Referer", "X-Other", "Last-Event-ID")
    for name in names:
        if "\0" not in value and "\r" not in value:
            assert operator.get("/", **{name: value}).status_code == 200
    for name, status in (("Origin", 403), ("Host", 400)):
        headers = {**operator.headers, name: value}
        assert operator.post("/send", {"to": "alice"}, **headers).status_code == status
    assert operator.hive.called("send") == []


@EVERY
def test_a_delivery_reaches_hived_as_the_bytes_that_it_is(
    stranger: Operator, raw: bytes
) -> None:
    """Its signature is over them; hived quotes what is text in them."""

    async def take(_params: object) -> WebhookResult:
        return WebhookResult(outcome=WebhookOutcome.ACCEPTED)

    stranger.hive.overrides["webhook"] = take
    headers = {"X-GitHub-Event": raw.decode("latin-1"), "Content-Type": "text/plain"}
    if "\0" in headers["X-GitHub-Event"]:
        del headers["X-GitHub-Event"]
    answer = stranger.client.post(
        "/hooks/alice/ci", base_url=URL, data=raw, headers=headers
    )
    assert answer.status_code == 202
    (asked,) = stranger.hive.called("webhook")
    assert asked.body == raw


def test_nul_and_every_character_pass_unchanged(operator: Operator) -> None:
    """As over RPC: NUL is a character, and is shown by its name."""
    text = "a\0b \U0001f600 caf\u00e9 \ufffd"
    assert operator.post("/send", {"to": "alice", "body": text}).status_code == 303
    (sent,) = operator.hive.called("send")
    assert sent.body == text


def test_what_is_too_long_is_said_to_be(operator: Operator) -> None:
    body = "x" * (BODY_LIMIT + 1)
    answer = operator.post("/send", {"to": "alice", "body": body})
    assert answer.status_code in (303, 413)
    assert operator.hive.called("send") == []


# --- bodies that are no form, and methods that nothing answers ------------------------


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ("application/json", b'{"model":"sonnet"}'),
        ("application/json", '{"model":"sonnet"}'.encode("utf-16")),
        ("text/plain", b"model=sonnet"),
        ("", b"model=sonnet"),
    ],
)
@pytest.mark.parametrize("path", ["/send", "/agents/alice/api/model"])
def test_a_body_that_is_no_form_is_named(
    operator: Operator, path: str, content: str, body: bytes
) -> None:
    headers = {**operator.headers, "Accept": "application/json"}
    answer = operator.client.post(
        path, base_url=URL, data=body, headers=headers, content_type=content
    )
    assert answer.status_code == 415
    assert "Send the fields as a form" in answer.text
    assert (content or "no content type") in answer.text
    assert operator.hive.called("send") == []


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "DELETE", "TRACE", "FOO"])
def test_a_method_that_nothing_answers_needs_no_token(
    operator: Operator, verb: str
) -> None:
    answer = operator.client.open(
        "/api/agents", method=verb, base_url=URL, headers={"Origin": URL}
    )
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_wrong_field_is_said_in_words(operator: Operator) -> None:
    for query, said in (
        ("since=-1", "Invalid since '-1': it must be at least 0."),
        ("since=", "Invalid since '': it must be a number, not text."),
        ("step=1", "Invalid step '1': it must be at least 60."),
        ("bogus=1", "Unknown field 'bogus'."),
    ):
        answer = operator.get(f"/agents/alice/api/stats?{query}")
        assert answer.status_code == 400
        assert answer.json is not None
        assert answer.json["detail"] == said


@pytest.mark.parametrize("text", ["a" * (BODY_LIMIT + 1), "\u00e9" * 140_000])
def test_a_message_that_is_too_large_says_how_large(
    operator: Operator, text: str
) -> None:
    answer = operator.post("/agents/alice/command", {"line": text})
    kib = -(-len(text.encode()) // 1024)
    assert answer.status_code == 413
    assert f"The message is {kib} KiB; at most 256 KiB" in answer.text


def test_a_mistyped_command_names_what_may_be_meant(operator: Operator) -> None:
    answer = operator.post("/agents/alice/command", {"line": "/mdel opus"})
    assert answer.status_code == 400
    assert "There is no command /mdel, did you mean /model" in answer.text
    answer = operator.post("/agents/alice/command", {"line": "/frobnicate"})
    assert "There is no command /frobnicate" in answer.text
