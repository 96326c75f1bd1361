"""Logs of a whole hive: the same lines by RPC, HTTP, CLI and the manager's tool."""

import asyncio
import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from checks.kits.cli import run
from checks.kits.cli.run import HIVE
from checks.kits.host.hive import Hive
from checks.kits.host.shared_hive import shared_hive
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.journal import JournalParams
from pyglue.api.manager import AGENT_LOGS, AgentLogsParams
from pyglue.errors import ErrorCode, HiveError

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs("nix", "git", "bwrap"),
]

HOSTILE: Final = "\x1b]0;owned\x07 \u202e<script>"
SHOWN: Final = "\\x1b]0;owned\\x07 \\u202e<script>"


class Site:
    """The dashboard with a session, as a script uses it."""

    def __init__(self, hive: Hive) -> None:
        self.url = hive.url
        self.cookie = ""

    def log_in(self, code: str) -> None:
        request = urllib.request.Request(  # noqa: S310 (http)
            f"{self.url}/login", f"code={code}".encode(), {"Origin": self.url}
        )
        opener = urllib.request.build_opener(_Stay())
        with opener.open(request, timeout=PATIENCE_S) as answer:
            found = re.match("[^;]+", answer.headers["Set-Cookie"])
        assert found is not None
        self.cookie = found[0]

    def open(self, path: str, *, anonymous: bool = False) -> Any:
        """Return the answer, a refusal too."""
        headers = {} if anonymous else {"Cookie": self.cookie}
        request = urllib.request.Request(  # noqa: S310 (http)
            f"{self.url}{path}", headers=headers
        )
        try:
            return urllib.request.urlopen(  # noqa: S310 (http)
                request, timeout=PATIENCE_S
            )
        except urllib.error.HTTPError as refusal:
            return refusal

    def get(self, path: str, **how: Any) -> tuple[int, str, str]:
        """Return status, content type, text."""
        with self.open(path, **how) as answer:
            kind = answer.headers["Content-Type"]
            return answer.status, kind, answer.read().decode()


class _Stay(urllib.request.HTTPRedirectHandler):
    def http_error_303(self, req: Any, fp: Any, *rest: Any) -> Any:
        return fp


hive = shared_hive(agents=("manager",), peers=True, beside=("web",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(hive: Hive) -> Site:
    site = Site(hive)
    code = (await hive.operator.call(api.LOGIN_CODE, NoParams())).code
    await asyncio.to_thread(site.log_in, code)
    return site


def write(hive: Hive, *lines: str, agent: str = "manager") -> None:
    """Add to an agent's log what its process might print."""
    path = hive.local.config.layout.agent_log(agent)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


async def test_every_way_shows_the_same_lines(hive: Hive, site: Site) -> None:
    write(hive, HOSTILE, "last")
    page = await hive.operator.call(
        api.JOURNAL, JournalParams(agent="manager", lines=2)
    )
    assert [line.text for line in page.lines] == [SHOWN, "last"]

    status, kind, text = await asyncio.to_thread(
        site.get, "/api/journal/manager?lines=2"
    )
    assert (status, kind) == (200, "application/json")
    assert [line["text"] for line in json.loads(text)["lines"]] == [SHOWN, "last"]
    plain = await asyncio.to_thread(
        site.get, "/api/journal/manager?lines=2&unit=machine&format=text"
    )
    assert plain == (200, "text/plain; charset=utf-8", f"{SHOWN}\nlast\n")

    said = run.typed("logs", "manager", "-n", "2", *_at(hive))
    assert (said.code, said.out) == (0, f"{SHOWN}\nlast\n")

    manager = await hive.as_agent("manager")
    logs = await manager.call(AGENT_LOGS, AgentLogsParams(agent="manager", lines=2))
    manager.close()
    assert logs.lines == page.lines


async def test_too_many_lines_are_refused(hive: Hive, site: Site) -> None:
    write(hive, *map(str, range(6000)))
    path = "/api/journal/manager?lines="
    status, _, text = await asyncio.to_thread(site.get, f"{path}5001")
    assert status == 400 and "5000" in json.loads(text)["detail"]
    _, _, text = await asyncio.to_thread(site.get, f"{path}5000")
    lines = json.loads(text)["lines"]
    assert len(lines) == 5000
    assert lines[-1]["text"] == "5999"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nobody", 404, "not_found"),
        ("..%2f..%2fetc", 404, "not_found"),
        ("--follow?follow=1", 404, "not_found"),
        ("a%00b", 404, "not_found"),
        ("a" * 65, 404, "not_found"),
        ("manager?unit=sshd", 400, "bad_request"),
        ("manager?unit=daemon", 400, "bad_request"),
        ("hive?unit=harness", 400, "bad_request"),
        ("manager?cursor=1:2", 400, "bad_request"),
        ("manager?cursor=" + "1" * 600, 400, "bad_request"),
    ],
)
async def test_the_api_refuses(site: Site, path: str, status: int, code: str) -> None:
    got, kind, text = await asyncio.to_thread(site.get, f"/api/journal/{path}")
    assert (got, kind) == (status, "application/problem+json")
    assert json.loads(text)["code"] == code


async def test_without_a_session_there_is_no_log(site: Site) -> None:
    for path in ("manager", "nobody", "manager?follow=1"):
        got = await asyncio.to_thread(site.get, f"/api/journal/{path}", anonymous=True)
        assert got[0] == 401


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "no agent"),
        (("--", "--follow"), "no agent"),
        (("hive", "--unit", "harness"), "has daemon"),
    ],
)
async def test_the_command_refuses(
    hive: Hive, arguments: tuple[str, ...], said: str
) -> None:
    told = run.typed("logs", *_at(hive), *arguments)
    assert said in told.refusal()


@pytest.mark.parametrize("lines", ["0", "5001", "many"])
async def test_a_wrong_number_is_wrong_usage(hive: Hive, lines: str) -> None:
    told = run.typed("logs", *_at(hive), "manager", "-n", lines)
    assert "--lines" in told.refusal(code=2)


async def test_an_agent_may_not_read_logs(hive: Hive) -> None:
    manager = await hive.as_agent("manager")
    with pytest.raises(HiveError) as refused:
        await manager.call(api.JOURNAL, JournalParams(agent="hive"))
    assert refused.value.code is ErrorCode.UNKNOWN_METHOD
    manager.close()


async def test_a_stream_gets_news_and_goes_on_from_its_cursor(
    hive: Hive, site: Site
) -> None:
    write(hive, "begin")
    path = "/api/journal/manager?follow=1&lines=1"
    with await asyncio.to_thread(site.open, path) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        first = await asyncio.to_thread(_event, stream)
        assert [line["text"] for line in first["lines"]] == ["begin"]
        write(hive, "two", HOSTILE)
        got: list[str] = []
        while len(got) < 2:
            news = await asyncio.to_thread(_event, stream)
            got += [line["text"] for line in news["lines"]]
    assert got == ["two", SHOWN]
    write(hive, "missed")
    again = await asyncio.to_thread(
        site.get, f"/api/journal/manager?cursor={news['cursor']}"
    )
    assert [line["text"] for line in json.loads(again[2])["lines"]] == ["missed"]


async def test_the_command_follows(hive: Hive, tmp_path: Path) -> None:
    write(hive, "begin")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", HIVE, "logs", "manager", "-n1", "-f"),
        *_at(hive),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        assert await child.stdout.readline() == b"begin\n"
        write(hive, "news")
        assert await child.stdout.readline() == b"news\n"
        child.send_signal(signal.SIGINT)
        assert await child.wait() == 130


def _at(hive: Hive) -> tuple[str, ...]:
    return ("--socket", str(hive.local.config.layout.operator_socket))


def _event(stream: Any) -> dict[str, Any]:
    """Read an SSE stream up to its next event."""
    while True:
        line = stream.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            event: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return event
