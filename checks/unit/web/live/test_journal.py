"""The stream of a log in hive-web: events, beats, and when it ends."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest

from checks.kits.web.app import Operator
from pyglue.api.common import Done, NoParams, Params
from pyglue.api.journal import JournalLine, JournalNews, JournalPage
from pyglue.api.live_text import LiveTextParams
from pyglue.api.overview import HiveStatus
from pyglue.errors import ErrorCode, HiveError
from pyglue.web.live import journal, live_text, sse
from pyglue.web.live.stream import alive

LINE: Final = JournalLine(at=None, text="a line")
NEWS: Final = JournalNews(lines=(LINE,), cursor="1:2:3:4")
BEAT: Final = JournalNews()


class Client:
    """Gives news, then hangs up as a connection does."""

    def __init__(self, *news: Params) -> None:
        self.news = news

    def stream(self, _note: object, *, timeout: float) -> Iterator[Params]:
        assert timeout > 20, "hived's beats must come sooner"
        yield from self.news


class Link:
    """Asks hived if the session lives."""

    def __init__(self, answer: Callable[[], None] = lambda: None) -> None:
        self.asked = 0
        self.answer = answer

    def call(self, *_: object) -> None:
        self.asked += 1
        self.answer()

    def close(self) -> None:
        pass


def stream(link: Link, *news: JournalNews) -> list[str]:
    page = JournalPage(lines=(LINE,), cursor="1:1:1:1")
    client: Any = Client(*news)
    known: Any = SimpleNamespace(socket=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyglue.web.live.stream.HiveLink", lambda *_: link)
        lives = partial(alive, known, "a session")
        return list(journal._FOLLOWED.sent(client, page, lives))


def test_events_carry_the_cursor_as_their_id() -> None:
    first, second = stream(Link(), NEWS)
    assert first.startswith("retry: 2000\nid: 1:1:1:1\ndata: ")
    assert second.startswith("id: 1:2:3:4\ndata: ")
    assert json.loads(second.partition("data: ")[2])["lines"] == [
        {"at": None, "text": "a line"}
    ]
    assert second.endswith("\n\n")


def test_a_line_cannot_end_an_event() -> None:
    news = JournalNews(lines=(JournalLine(at=None, text="x\n\ndata: y\rz"),))
    (_, event) = stream(Link(), news)
    assert event.count("\n") == 2
    assert "\r" not in event


def test_silence_is_a_beat_that_looks_after_the_session() -> None:
    link = Link()
    _, beat, event = stream(link, BEAT, NEWS)
    assert (beat, link.asked) == (": beat\n\n", 1)
    assert "a line" in event


@pytest.mark.parametrize(
    ("code", "goes_on"),
    [(ErrorCode.UNAUTHENTICATED, False), (ErrorCode.UNAVAILABLE, True)],
)
def test_a_session_that_has_ended_ends_its_stream(
    code: ErrorCode, goes_on: bool
) -> None:
    def refuse() -> None:
        raise HiveError(code, "no")

    events = stream(Link(refuse), BEAT, NEWS)
    assert (len(events) == 3) is goes_on


def test_a_log_that_is_never_silent_is_no_way_around_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise HiveError(ErrorCode.UNAUTHENTICATED, "no")

    monkeypatch.setattr(sse, "BEAT_S", -1.0)
    assert len(stream(Link(refuse), NEWS, NEWS, NEWS)) == 2


def test_the_end_of_a_log_is_the_last_event() -> None:
    events = stream(Link(), JournalNews(ended="The container is gone."), NEWS)
    assert len(events) == 2
    assert "The container is gone." in events[-1]


def test_a_models_text_is_an_event_and_no_text_a_beat() -> None:
    texts = (LiveTextParams(turn=1, text="so far"), LiveTextParams())
    client: Any = Client(*texts)
    first, event, beat = live_text.FOLLOWED.sent(client, Done(), lambda: True)
    assert (first, beat) == ("retry: 2000\n: beat\n\n", ": beat\n\n")
    assert json.loads(event.removeprefix("data: "))["text"] == "so far"
    ended = live_text.FOLLOWED.sent(client, Done(), lambda: False)
    assert len(list(ended)) == 3, "the beat looks after the session"


@pytest.mark.parametrize(
    ("journal", "units"), [(False, []), (True, ["harness", "machine"])]
)
def test_a_unit_is_chosen_where_there_are_two(
    operator: Operator, journal: bool, units: list[str]
) -> None:
    hive = operator.hive

    async def status(params: NoParams) -> HiveStatus:
        return msgspec.structs.replace(await hive._status(params), journal=journal)

    hive.overrides["status"] = status
    for path in ("/", "/agents/alice"):
        page = operator.get(path).text
        assert re.findall('<option value="(harness|machine)">', page) == units
