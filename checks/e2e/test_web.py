"""The dashboard of a local hive: its address, its logins, access to its metrics."""

import asyncio
import os
import urllib.parse
from pathlib import Path

import pytest

from checks.kits.host.hive import Hive, running_hive
from checks.kits.web.visitor import ask, log_in
from pyglue.api.metrics import MetricsTokenParams
from pyglue.api.operator import METRICS_TOKEN

pytestmark = [pytest.mark.asyncio, pytest.mark.needs("nix", "git", "bwrap")]


async def test_a_local_hive_keeps_its_name_and_ends_its_logins(tmp_path: Path) -> None:
    async with running_hive(
        tmp_path,
        agents=(),
        peers=True,
        beside=("web", "relay"),
        wait=False,
        forked=False,
    ) as hive:
        site, cookie = hive.url, await log_in(hive)
        status, _, _ = await asyncio.to_thread(ask, f"{site}/", Cookie=cookie)
        assert status == 200
        name = urllib.parse.urlsplit(site).netloc.partition(".")[0]
        seen = [
            file.read_text(errors="replace")
            for file in hive.state.rglob("*.log")
            if file.is_file()
        ]
        assert name not in "".join(seen)
        _nothing_tells(hive, name)
        await _metrics(hive, cookie)
    async with running_hive(
        tmp_path, agents=(), peers=True, beside=("web", "relay"), wait=False
    ) as hive:
        again = hive.url
        assert again.rpartition(":")[0] == site.rpartition(":")[0], "bookmarks live"
        port = urllib.parse.urlsplit(again).port
        old = f"hive_{port}={cookie.partition('=')[2]}"
        status, _, _ = await asyncio.to_thread(ask, f"{again}/", Cookie=old)
        assert status == 401, "somebody else may have had the port meanwhile"


def _nothing_tells(hive: Hive, name: str) -> None:
    """Neither the command lines nor the file that all parts may read has the name."""
    for part in ("hived", "hive-web", "hive-relay"):
        for kind in ("cmdline", "environ"):
            text = Path(f"/proc/{hive.local.pid(part)}/{kind}").read_bytes()
            assert os.fsencode(name) not in text
        command = Path(f"/proc/{hive.local.pid(part)}/cmdline").read_text()
        config = Path(command.partition("--config\0")[2].rstrip("\0"))
        assert name not in config.read_text()


async def _metrics(hive: Hive, cookie: str) -> None:
    """Only the metrics' own token opens them; a scraper need not know the name."""
    made = await hive.operator.call(METRICS_TOKEN, MetricsTokenParams())
    port = urllib.parse.urlsplit(hive.url).port
    session = cookie.partition("=")[2]
    for site in (hive.url, f"http://127.0.0.1:{port}"):
        for token, wanted in ((made.token, 200), (session, 403)):
            status, _, text = await asyncio.to_thread(
                ask, f"{site}/metrics", Authorization=f"Bearer {token}"
            )
            assert status == wanted, text
    status, _, _ = await asyncio.to_thread(
        ask, f"{hive.url}/api/status", Cookie=f"hive_{port}={made.token}"
    )
    assert status >= 400
