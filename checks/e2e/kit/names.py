"""Names of agents at every edge: each way to give one, and what is refused of it."""

import asyncio
import html
import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable

import pytest

from checks.kits.cli import run
from checks.kits.host.hive import Hive
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.api.manager import (
    SpawnParams,
)
from pyglue.errors import HiveError
from pyglue.tools.manager import manager_tools


# --- names ------------------------------------------------------------------------
async def by_tool(hive: Hive, text: str) -> str:
    tools = manager_tools(hive.local.config.layout.agents)
    tool = next(tool for tool in tools if tool.name == "request_spawn")
    manager = await hive.as_agent("manager")
    try:
        answer = await tool.call(manager, {"name": text})
    finally:
        manager.close()
    assert answer.is_error, answer.text
    return answer.text


async def by_command(hive: Hive, text: str) -> str:
    return run.typed("spawn", "--state", hive.state, "--", text).refusal()


class Form:
    """The dashboard's form for a new agent, in one session."""

    def __init__(self, url: str, code: str) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)
        self._url = url
        page = self._send("/login", {"code": code})
        found = re.search(r'name="csrf" value="([^"]+)"', page[1])
        assert found is not None, page
        self._csrf = found[1]

    def spawn(self, text: str) -> tuple[int, str]:
        """Fill it in and send it."""
        fields = {"csrf": self._csrf, "name": text, "description": ""}
        return self._send("/agents/spawn", fields)

    def _send(self, path: str, fields: dict[str, str]) -> tuple[int, str]:
        request = urllib.request.Request(  # noqa: S310 (http)
            f"{self._url}{path}",
            urllib.parse.urlencode(fields).encode(),
            {"Origin": self._url},
        )
        try:
            with self._opener.open(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()


async def by_form(hive: Hive, text: str) -> str:
    code = await hive.operator.call(api.LOGIN_CODE, NoParams())
    form = await asyncio.to_thread(Form, hive.url, code.code)
    status, page = await asyncio.to_thread(form.spawn, text)
    assert 400 <= status < 500, page
    return html.unescape(page)


async def by_call(hive: Hive, text: str) -> str:
    with pytest.raises(HiveError) as refused:
        await hive.operator.call(api.SPAWN, SpawnParams(name=text))
    return refused.value.message


EDGES: dict[str, Callable[[Hive, str], Awaitable[str]]] = {
    "tool": by_tool,
    "command": by_command,
    "form": by_form,
    "call": by_call,
}

SHAPE = "Invalid agent name"

NAMES = {
    "Bob": SHAPE,
    "b\u00f6b": SHAPE,
    "bob\u200b": SHAPE,
    "\u0430lice": SHAPE,  # a Cyrillic a
    "1bob": SHAPE,
    "-bob": SHAPE,
    "bob-": SHAPE,
    "b b": SHAPE,
    "tenletters": SHAPE,
    "../x": SHAPE,
    "a/b": SHAPE,
    "..": SHAPE,
    "operator": "is reserved",
    "system": "is reserved",
    "manager": "is reserved",
    "all": "is reserved",
    "hive": "is reserved",
    "alice": "There is already an agent",
    "draft": "There is already a draft",
    "kept": "its state is kept: restore or purge it",
    "waits": "is already pending",
}
