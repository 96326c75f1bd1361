"""``POST /hooks/AGENT/NAME``: deliveries for agents' webhooks, passed on unread.

The only address of the dashboard without session, cookie, Host or Origin check: the
signature, which hived checks over the raw bytes, decides who may deliver. The answer is
one line of plain text.
"""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, request

from pyglue.api.operator import WEBHOOK as DELIVER
from pyglue.api.wakeups import HOOK_HEADERS, WebhookParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import MIB, WEBHOOK
from pyglue.web.errors import status_of
from pyglue.web.rpc import hive

blueprint = Blueprint("hooks", __name__)
_RETRY_S: Final = "60"
_HEADER_MAX: Final = 1000


@blueprint.post("/hooks/<agent>/<hook>")
def deliver(agent: str, hook: str) -> Response:
    """Pass a delivery on; 202 once its message is stored, or if it causes none."""
    try:
        params = WebhookParams(
            agent=agent[:64], hook=hook[:64], headers=_headers(), body=_body()
        )
        outcome = hive().call(DELIVER, params).outcome
    except HiveError as error:
        return _plain(status_of(error.code), error.message)
    return _plain(HTTPStatus.ACCEPTED, outcome.value)


def _headers() -> dict[str, str]:
    found = ((name, request.headers.get(name)) for name in HOOK_HEADERS)
    return {name: value[:_HEADER_MAX] for name, value in found if value}


def _body() -> bytes:
    if (request.content_length or 0) <= WEBHOOK.body:
        body = request.get_data(cache=False)
        if len(body) <= WEBHOOK.body:
            return body
    raise HiveError(
        ErrorCode.TOO_LARGE,
        f"The delivery is too large: the limit is {WEBHOOK.body // MIB} MiB.",
    )


def _plain(status: int, line: str) -> Response:
    answer = Response(f"{line}\n", status, content_type="text/plain; charset=utf-8")
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        answer.headers["Retry-After"] = _RETRY_S
    return answer
