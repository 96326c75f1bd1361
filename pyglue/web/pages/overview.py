"""The overview, its live sections, and the forms about messages and questions.

Sections are ordered by how much they need the operator. Each is a fragment of its own:
the page includes them all, ``/fragments/<section>`` returns one for live updates.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from flask import (
    Blueprint,
    Response,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from pyglue.api.common import NoParams
from pyglue.api.inbox import InboxParams, MessagesParams
from pyglue.api.journal import JournalUnit
from pyglue.api.lifecycle import DraftView, KeptView
from pyglue.api.messages import Mark, ShownMessage
from pyglue.api.operator import (
    DRAFTS,
    INBOX,
    KEPT,
    MESSAGES,
    OPERATOR_ANSWER,
    QUESTIONS,
)
from pyglue.api.overview import AgentView
from pyglue.api.questions import AnswerParams
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.pages import agent_order, needs, waiting
from pyglue.web.pages.agent_filter import CHOICES, NEEDS_YOU, AgentFilter
from pyglue.web.pages.bulk import FIRST, MORE
from pyglue.web.pages.chips import Chip, chips
from pyglue.web.pages.common import Part, done, field, log_units, part, status
from pyglue.web.pages.doing import activity
from pyglue.web.pages.first_steps import first_steps
from pyglue.web.pages.messages import CLIP
from pyglue.web.pages.today import today
from pyglue.web.rpc import hive

blueprint = Blueprint("overview", __name__)

_INBOX_SHOWN: Final = 20
_FLOW_SHOWN: Final = 30
_MESSAGES_CLIP: Final = 1200
_SEARCH_MAX: Final = 100


@blueprint.get("/")
def page() -> str:
    """Show the overview."""
    frame, agent_filter, everyone = status(), _agent_filter(), part(needs.everyone)
    inbox, questions = part(_inbox), part(needs.questions)
    found = everyone.data or ()
    queue = needs.queue(everyone, questions, inbox)
    return render_template(
        "overview.html",
        status=frame,
        kept=part(_kept),
        drafts=part(_drafts),
        needs=queue,
        needs_shown=needs.SHOWN,
        waiting=waiting.counted(queue),
        names=tuple(one.name for one in found),
        agent_filter=agent_filter,
        choices=CHOICES,
        orders=agent_order.CHOICES,
        bulk_first=FIRST,
        bulk_more=MORE,
        chips=_chips(agent_filter, everyone, queue),
        agents=Part(agent_filter.choose(found, queue.agents), everyone.problem),
        activity=activity(questions.data or ()),
        units=log_units(frame),
        first=first_steps(found, request.args.get("example", "")),
        today=Part(today(found), everyone.problem),
        inbox=inbox,
        messages=part(_flow),
    )


@blueprint.get("/fragments/together")
def together() -> Response:
    """Return sections that show the agents, all after one reading of them.

    ``of`` are their places, as a page asks for one of them; the answer is JSON with the
    markup of each.
    """
    everyone, questions = part(needs.everyone), part(needs.questions)
    queue = needs.queue(everyone, questions, part(lambda: needs.unread(_MESSAGES_CLIP)))
    found = everyone.data or ()
    shown: dict[str, str] = {}
    for place in dict.fromkeys(request.args.getlist("of")):
        url = urlsplit(place)
        asked = dict(parse_qsl(url.query))
        fields: dict[str, object]
        match url.path.removeprefix("/fragments/"):
            case "nav" as name:
                count = waiting.counted(queue)
                fields = {"waiting": count, "here": asked.get("at", "")}
            case "today" as name:
                fields = {"today": Part(today(found), everyone.problem)}
            case "needs" as name:
                fields = {"needs": queue, "needs_shown": needs.SHOWN}
            case "chips" as name:
                fields = {"chips": _chips(_agent_filter(asked), everyone, queue)}
            case "agents" as name:
                agent_filter = _agent_filter(asked)
                chosen = agent_filter.choose(found, queue.agents)
                fields = {
                    "agent_filter": agent_filter,
                    "agents": Part(chosen, everyone.problem),
                    "activity": activity(questions.data or ()),
                }
            case other:
                why = f"The section {other[:40]!r} is read by itself."
                raise HiveError(ErrorCode.NOT_FOUND, why)
        shown[place] = render_template(f"fragments/{name}.html", **fields)
    return jsonify(shown)


@blueprint.get("/fragments/<section>")
def fragment(section: str) -> str:
    """Return one section of the overview, for a live update."""
    readers: dict[str, Callable[[], object]] = {
        "kept": _kept,
        "drafts": _drafts,
        "today": lambda: today(needs.everyone()),
        "agents": _agents,
        "inbox": _inbox,
        "messages": _flow,
        "banner": status,
        "facts": status,
    }
    if section == "needs":
        queue, shown = needs.now(_MESSAGES_CLIP), needs.SHOWN
        return render_template("fragments/needs.html", needs=queue, needs_shown=shown)
    if section == "chips":
        found = part(needs.everyone)
        queue = needs.queue(found, part(needs.questions), part(lambda: needs.unread(1)))
        row = _chips(_agent_filter(), found, queue)
        return render_template("fragments/chips.html", chips=row)
    read = readers.get(section)
    if read is None:
        raise HiveError(ErrorCode.NOT_FOUND, f"There is no section {section[:40]!r}.")
    if section in ("banner", "facts"):
        return render_template(f"fragments/{section}.html", status=read())
    data: dict[str, Any] = {section: part(read)}
    if section == "agents":
        data["activity"] = activity(part(needs.questions).data or ())
    return render_template(
        f"fragments/{section}.html", agent_filter=_agent_filter(), **data
    )


def _kept() -> tuple[KeptView, ...]:
    return hive().call(KEPT, NoParams()).kept


def _drafts() -> tuple[DraftView, ...]:
    """Return the drafts that are not proposed; approvals show the others."""
    found = hive().call(DRAFTS, NoParams()).drafts
    return tuple(one for one in found if one.pending_approval is None)


def _agent_filter(query: Mapping[str, str] | None = None) -> AgentFilter:
    query = request.args if query is None else query
    asked = query.get("state", "")
    state = asked if asked in CHOICES else ""
    order = query.get("sort", "")
    return AgentFilter(
        q=query.get("q", "").strip()[:_SEARCH_MAX],
        state=state,
        sort=order if order in agent_order.KNOWN else "",
    )


def _agents() -> tuple[AgentView, ...]:
    agent_filter = _agent_filter()
    needy = needs.now(1).agents if agent_filter.state == NEEDS_YOU else frozenset()
    return agent_filter.choose(needs.everyone(), needy)


def _chips(
    agent_filter: AgentFilter, everyone: Part[tuple[AgentView, ...]], queue: needs.Queue
) -> tuple[Chip, ...]:
    """Return the counts above the table; none while the agents cannot be read."""
    return (
        ()
        if everyone.data is None
        else chips(agent_filter, everyone.data, queue.agents)
    )


def _inbox() -> tuple[ShownMessage, ...]:
    """Return all unread messages, and the newest of those that are read, not done."""
    unread = needs.unread(_MESSAGES_CLIP)
    asked = InboxParams(limit=_INBOX_SHOWN, clip=_MESSAGES_CLIP)
    newest = hive().call(INBOX, asked).messages
    return (*unread, *(one for one in newest if one.mark is Mark.READ))


def _flow() -> tuple[ShownMessage, ...]:
    asked = MessagesParams(limit=_FLOW_SHOWN, clip=CLIP)
    return hive().call(MESSAGES, asked).messages


@blueprint.get("/charts")
def charts() -> str:
    """Show charts of the whole hive's metrics; the page's script loads them."""
    return render_template("charts.html", status=status())


@blueprint.get("/log")
def log() -> str:
    """Show hived's own log; the page's script reads it."""
    units = (JournalUnit.DAEMON,)
    return render_template("hive_log.html", status=status(), units=units)


@blueprint.get("/figures")
def figures() -> AnyResponse:
    """Redirect bookmarks to the page's earlier address."""
    return redirect(url_for("overview.charts"), code=301)


@blueprint.post("/questions/<int:number>/answer")
def answer(number: int) -> AnyResponse:
    """Answer a question with options, with text, or both."""
    choices = _chosen(number, request.form.getlist("choice", type=int))
    text = field("text", limit=65536).strip()
    if not choices and not text:
        raise HiveError(ErrorCode.BAD_REQUEST, "Choose or write an answer.")
    given = AnswerParams(question=number, text=text, choices=choices)
    hive().call(OPERATOR_ANSWER, given)
    return done(f"Question {number} answered.", "/#needs")


def _chosen(number: int, positions: list[int]) -> tuple[str, ...]:
    """Return the options at ``positions``.

    The form contains numbers, because an option's text may not survive in markup.
    """
    if not positions:
        return ()
    for question in hive().call(QUESTIONS, NoParams()).questions:
        if question.id == number:
            found = dict(enumerate(question.options))
            return tuple(found[at] for at in positions if at in found)
    raise HiveError(ErrorCode.NOT_FOUND, f"Question {number} is no longer open.")
