"""The HTTP API: every route is one row; the OpenAPI document is generated from them.

The answer of a row that is a call is hived's own (docs/rpc.md has the fields), and its
query or form fields are the call's parameters with their limits. Approving and denying
are not included: use the dashboard or ``hive``.
"""

from typing import Annotated, Final

import msgspec
from flask import Flask, Response, g
from msgspec import Meta

from pyglue.api import line_comments
from pyglue.api import operator as api
from pyglue.api.approvals import COMMENTS_MAX, RequestChangesParams
from pyglue.api.common import Done, Id, NoParams, Params
from pyglue.api.live_text import LiveTextFollowParams
from pyglue.web.guard import cookies
from pyglue.web.json import metrics, openapi
from pyglue.web.json.route import JSON, STREAM, TEXT, Route, call, register
from pyglue.web.live import agent_events, journal, live_text, stream
from pyglue.web.rpc import hive, web

_KEY: Final = {"keys": "key"}
_KEYS: Final = {"key": "May be given several times."}
_SINCE: Final = "Replay the events after this one; if omitted, only new events."


def _document(_params: NoParams) -> Response:
    ours = openapi.Place(cookies.cookie_name(web().config), g.origin)
    body = msgspec.json.encode(openapi.describe(ROUTES, ours))
    return Response(body, content_type=JSON)


class ChangesForm(Params, frozen=True):
    """The fields of ``request_changes`` in a form."""

    id: Id
    text: Annotated[str, Meta(max_length=8192)] = ""
    comment: Annotated[tuple[str, ...], Meta(max_length=COMMENTS_MAX)] = ()


def _request_changes(form: ChangesForm) -> Response:
    comments = tuple(line_comments.read(one) for one in form.comment)
    asked = RequestChangesParams(id=form.id, text=form.text, comments=comments)
    done = hive().call(api.REQUEST_CHANGES, asked)
    return Response(msgspec.json.encode(done), content_type=JSON)


ROUTES: Final = (
    Route(
        name="openapi.document",
        path="/api/openapi.json",
        about="Answer this document.",
        takes=NoParams,
        answer=_document,
        gives=dict,
    ),
    call("api.status", "/api/status", api.STATUS, "The hive's state and counts."),
    call("api.agents", "/api/agents", api.AGENTS, "All agents."),
    call("api.agent", "/api/agents/<agent>", api.AGENT, "One agent."),
    call("api.approvals", "/api/approvals", api.APPROVALS, "Approvals, newest first."),
    call("api.approval", "/api/approvals/<id>", api.APPROVAL, "One approval."),
    call(
        "api.compare",
        "/api/agents/<agent>/compare",
        api.COMPARE,
        "The differences between two versions of an agent, each named by its approval.",
    ),
    Route(
        name="api.request_changes",
        path="/api/approvals/<id>/request_changes",
        about="End a proposal and ask the manager for changes.",
        takes=ChangesForm,
        answer=_request_changes,
        gives=Done,
        verb="POST",
        words={
            "text": "General comment.",
            "comment": "On a line of a proposed file: `FILE:LINE=TEXT`, or on "
            "`FILE:LINE-LINE`. With `@running`, `@approved` or `@previous` after the "
            "line, to comment on a line of that version, such as a removed one. May "
            "be repeated.",
        },
    ),
    call("api.questions", "/api/questions", api.QUESTIONS, "Questions."),
    call("api.inbox", "/api/inbox", api.INBOX, "The operator's inbox, newest first."),
    call(
        "api.mark",
        "/api/inbox/mark",
        api.MARK,
        "Mark messages of the operator's inbox as unread, read or done.",
        verb="POST",
        renamed={"ids": "id"},
        words={
            "id": "A message. May be given several times.",
            "mark": "Their new state.",
            "up_to": "Also all messages up to this one; only with `read` or `done`.",
        },
    ),
    call(
        "api.pairs",
        "/api/pairs",
        api.PAIRS,
        "Message counts by pair of correspondents.",
    ),
    call("api.messages", "/api/messages", api.MESSAGES, "Messages, newest first."),
    call("api.thread", "/api/messages/<id>", api.THREAD, "A message and its thread."),
    call("api.operations", "/api/operations", api.OPERATIONS, "Operations."),
    call("api.audit", "/api/audit", api.AUDIT_EXPORT, "The audit log."),
    call("api.accounts", "/api/accounts", api.ACCOUNTS, "The accounts that pay."),
    call("api.doctor", "/api/doctor", api.DOCTOR, "The findings of `hive doctor`."),
    call("api.operation", "/api/operations/<id>", api.OPERATION, "One operation."),
    call(
        "stats.stats",
        "/api/stats",
        api.METRIC_SERIES,
        "Metrics over time.",
        renamed=_KEY,
        words=_KEYS,
    ),
    Route(
        name="journal.journal",
        path="/api/journal/<agent>",
        about="An agent's log, or hived's own as `hive`: a page, or a stream of it.",
        takes=journal.Query,
        answer=journal.answer,
        gives=api.JOURNAL.result,
        also=(TEXT, STREAM),
        words={"follow": "Stream: the page, then `journal_news` of docs/rpc.md."},
    ),
    Route(
        name="stream.events",
        path="/api/events",
        about="Stream the hive's events.",
        takes=stream.Query,
        answer=stream.events,
        also=(STREAM,),
        words={
            "since": _SINCE,
            "turns": "The agent whose turns to show, or `all` or `none`.",
        },
        resumes=True,
    ),
    call(
        "agent_api.state",
        "/agents/<agent>/api/state",
        api.AGENT,
        "An agent's current activity.",
        part="agent",
    ),
    call(
        "agent_api.stats",
        "/agents/<agent>/api/stats",
        api.METRIC_SERIES,
        "An agent's metrics over time.",
        renamed=_KEY,
        words=_KEYS,
    ),
    call(
        "agent_api.history",
        "/agents/<agent>/api/history",
        api.HISTORY,
        "A page of an agent's turns.",
    ),
    Route(
        name="agent_api.events",
        path="/agents/<agent>/api/events",
        about="Stream an agent's turns.",
        takes=agent_events.Query,
        answer=agent_events.events,
        also=(STREAM,),
        words={"since": _SINCE},
        resumes=True,
    ),
    Route(
        name="agent_api.text",
        path="/agents/<agent>/api/text",
        about="Stream what an agent's model is writing: `live_text` of docs/rpc.md.",
        takes=LiveTextFollowParams,
        answer=live_text.FOLLOWED.answer,
        also=(STREAM,),
    ),
    call(
        "agent_api.model",
        "/agents/<agent>/api/model",
        api.SET_MODEL,
        "Use another model from the next turn on.",
        verb="POST",
    ),
    call(
        "agent_api.account",
        "/agents/<agent>/api/account",
        api.SET_ACCOUNT,
        "Charge another account from the next request on; the default one if none.",
        verb="POST",
    ),
    call(
        "agent_api.cancel",
        "/agents/<agent>/api/cancel",
        api.CANCEL_TURN_OF,
        "Cancel the running turn.",
        verb="POST",
    ),
    call(
        "agent_api.queue",
        "/agents/<agent>/api/queue",
        api.QUEUE,
        "An agent's pending messages.",
    ),
    call(
        "agent_api.queue_drop",
        "/agents/<agent>/api/queue/<message>/drop",
        api.QUEUE_DROP,
        "Drop a message for good.",
        verb="POST",
    ),
    call(
        "agent_api.queue_later",
        "/agents/<agent>/api/queue/<message>/later",
        api.QUEUE_LATER,
        "Move a message behind all others.",
        verb="POST",
    ),
    call(
        "agent_api.compact",
        "/agents/<agent>/api/compact",
        api.COMPACT,
        "Compact an agent's session.",
        verb="POST",
    ),
    call(
        "agent_api.new_session",
        "/agents/<agent>/api/new_session",
        api.NEW_SESSION,
        "Continue an agent in a new session; the old transcript is kept.",
        verb="POST",
    ),
    call(
        "api.notifications",
        "/api/notifications",
        api.NOTIFICATIONS,
        "External notifications, and the subscribed browsers.",
    ),
    call(
        "api.push_subscribe",
        "/api/push",
        api.PUSH_SUBSCRIBE,
        "Subscribe a browser to notifications (Web Push), or renew its subscription.",
        verb="POST",
        words={
            "endpoint": "The https address at which its push service accepts messages.",
            "p256dh": "Its public key, base64url.",
            "auth": "Its secret, base64url.",
            "browser": "A name for it.",
            "replaces": "The endpoint that this one replaces, if any.",
        },
    ),
    call(
        "api.push_remove",
        "/api/push/<id>/remove",
        api.PUSH_REMOVE,
        "Unsubscribe a browser.",
        verb="POST",
    ),
    Route(
        name="metrics.metrics",
        path="/metrics",
        about="Metrics in Prometheus' text format.",
        takes=NoParams,
        answer=metrics.answer,
        also=(TEXT,),
        token=True,
    ),
)


def init(app: Flask) -> None:
    """Register every row."""
    register(app, ROUTES)
