"""A visitor of a running hive's dashboard that is no browser: one request at a time."""

import asyncio
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from checks.kits.host.hive import Hive
from checks.kits.patience import PATIENCE_S
from pyglue.api.common import NoParams
from pyglue.api.operator import LOGIN_CODE


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


def ask(
    url: str, form: dict[str, str] | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Return status, headers and text of an answer, a refusal too."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 (http)
    opener = urllib.request.build_opener(_Stay())
    try:
        answer: Any = opener.open(request, timeout=PATIENCE_S)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.status, dict(answer.headers), answer.read().decode()


async def log_in(hive: Hive) -> str:
    """Return the cookie of a new session, by the link as it is printed."""
    link = (await hive.operator.call(LOGIN_CODE, NoParams())).url
    site, _, code = link.partition("/login?code=")
    status, headers, _ = await asyncio.to_thread(
        ask, f"{site}/login", {"code": code}, Origin=site
    )
    assert status == 303
    return headers["Set-Cookie"].partition(";")[0]
