"""The cost of the dashboard on a large hive: [overview_page], [overview_browser].

The hive has 200 agents, 100,000 messages and a million figures, read from a real store
behind the operator's socket. ``overview_page`` is the whole page in hive-web, beside
what a person may be asked to wait; its parts name the processor time of a page (both
ends of the socket) too. ``first_paint`` is when chromium first showed something of it,
``blocked_page`` how long its scripts kept a click waiting (total blocking time: what
tasks took beyond 50 ms), and ``event_page`` how long an event takes from hived's socket
into an open page. These need chromium.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from checks.bench.measure import Figure, progress, room, since
from checks.bench.scale import fill_hive, views
from checks.browser.kit import CHROMIUM, chromium
from checks.browser.pages import Dashboard
from checks.kits.host.store import Kit, open_kit
from checks.kits.net.ports import free_port
from checks.kits.web import hive as fake_hive
from checks.kits.web.app import Operator, hive_web, make_app
from checks.kits.web.hive import FakeHive
from pyglue.api.inbox import (
    InboxParams,
    InboxResult,
    MessagesParams,
    MessagesResult,
)
from pyglue.api.overview import HiveStatus
from pyglue.names import OPERATOR
from pyglue.store import inboxes

PAGE: Final = "overview_page"
BROWSER: Final = "overview_browser"
PAINT: Final = "first_paint"
BLOCKED: Final = "blocked_page"
EVENT: Final = "event_page"
_SERVER_MS: Final = 50.0
_PAINT_MS: Final = 500.0
_BLOCKED_MS: Final = 200.0
_EVENT_MS: Final = 100.0


@contextlib.contextmanager
def _large(directory: Path) -> Iterator[FakeHive]:
    with fake_hive.running(directory / "operator.sock") as hive:
        kit = hive.run(open_kit(directory))
        hive.run(_fill(kit))
        _answer(hive, kit, directory)
        progress("  200 agents, 100,000 messages, 1,000,000 figures")
        try:
            yield hive
        finally:
            hive.run(kit.store.close())


async def _fill(kit: Kit) -> None:
    for number in range(200):
        await kit.agent(f"agent{number}")
    await kit.store.write(fill_hive)


def _answer(hive: FakeHive, kit: Kit, directory: Path) -> None:
    shown = views(kit, directory)

    async def status(_params: object) -> HiveStatus:
        found = await shown.status()
        return HiveStatus(
            **{
                name: getattr(found, name)
                for name in HiveStatus.__struct_fields__
                if name != "last_seq"
            },
            last_seq=hive.seq,
        )

    async def flow(params: MessagesParams) -> MessagesResult:
        return await kit.store.read(lambda reader: inboxes.flow(reader, params))

    async def inbox(params: InboxParams) -> InboxResult:
        return await kit.store.read(
            lambda reader: inboxes.inbox(reader, OPERATOR, params)
        )

    hive.overrides |= {
        "status": status,
        "agents": shown.agents,
        "messages": flow,
        "inbox": inbox,
    }


async def page() -> Figure:
    """Ask for the overview of a large hive."""
    return await asyncio.to_thread(_page)


def _page() -> Figure:
    samples: list[float] = []
    cpu: list[float] = []
    with room() as directory, _large(directory) as hive:
        operator = Operator(hive, make_app(hive), hive.new_session())
        for number in range(65):
            used, began = time.process_time(), time.perf_counter()
            answer = operator.get("/")
            took = since(began)
            assert answer.status_code == 200 and answer.text.count("data-agent=") >= 200
            if number >= 5:
                samples.append(took)
                cpu.append((time.process_time() - used) * 1000)
    parts = {"fixed": _SERVER_MS, "(processor)": statistics.median(cpu)}
    return Figure(PAGE, tuple(samples), _SERVER_MS, 1.0, parts)


async def browser() -> tuple[Figure, ...]:
    """Open the overview in chromium, and send events to it."""
    if not CHROMIUM.exists():
        progress(f"  NOT RUN: no chromium at {CHROMIUM}")
        return ()
    return await asyncio.to_thread(_browser)


def _browser() -> tuple[Figure, ...]:
    port = free_port()
    with (
        room() as directory,
        _large(directory) as hive,
        hive_web(directory, port),
        chromium() as running,
    ):
        hive.port = port
        site = hive.origin
        tab = running.new_context().new_page()
        opened = Dashboard(tab, site).log_in(f"{site}/login?code={hive.new_code()}")
        paints, blocked = [], []
        for _ in range(12):
            opened.overview().live()
            blocked.append(float(tab.evaluate(_TOTAL_BLOCKING)))
            paints.append(float(tab.evaluate(_FIRST_PAINT)))
        tab.evaluate(_WATCH)
        arrived = [_event(hive, tab) for _ in range(60)]
    return (
        Figure(PAINT, tuple(paints), _PAINT_MS, 1.0, {"fixed": _PAINT_MS}),
        Figure(BLOCKED, tuple(blocked), _BLOCKED_MS, 1.0, {"fixed": _BLOCKED_MS}),
        Figure(EVENT, tuple(arrived), _EVENT_MS, 1.0, {"fixed": _EVENT_MS}),
    )


_FIRST_PAINT: Final = """() => new Promise((done) => {
  new PerformanceObserver((list) => {
    const one = list.getEntriesByName("first-contentful-paint")[0];
    if (one) done(one.startTime);
  }).observe({ type: "paint", buffered: true });
})"""
_TOTAL_BLOCKING: Final = """() => new Promise((done) => {
  let sum = 0;
  const add = (list) => {
    for (const one of list.getEntries()) sum += Math.max(0, one.duration - 50);
  };
  new PerformanceObserver(add).observe({ type: "longtask", buffered: true });
  setTimeout(() => done(sum), 500);
})"""
_WATCH: Final = """() => {
  window.arrived = new Map();
  document.addEventListener("hive:event", (event) =>
    window.arrived.set(event.detail.seq, Date.now()));
}"""
_ARRIVED: Final = "(seq) => window.arrived.get(seq)"


def _event(hive: FakeHive, tab: Any) -> float:
    """Send an event; return the milliseconds until the page's script had it."""
    began = time.time() * 1000
    seq = hive.emit("operation.changed", "agent7", id=1, state="running")
    tab.wait_for_function(_ARRIVED, arg=seq)
    return max(0.0, float(tab.evaluate(_ARRIVED, seq)) - began)
