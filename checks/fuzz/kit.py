"""Common to all targets: cases with seeds, verdicts, and one running hive.

A case is judged once. It is *refused* when the product says no, *harmless* when it
passes and does nothing that it should not, and *wrong* otherwise. Everything that is
drawn comes from the seed of the run, so a case that went wrong can be run again alone.
"""

import asyncio
import random
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.strategies import SearchStrategy

from checks.kits.host.hive import Hive, running_hive
from checks.kits.patience import PATIENCE_S
from pyglue.api import operator as api
from pyglue.api.common import NoParams
from pyglue.cli.local.launcher import PARTS
from pyglue.config import Timeouts
from pyglue.demo.scripted_model import ScriptedModel

T = TypeVar("T")

_DETAIL_MAX: Final = 2000
_WRONG_MAX: Final = 50
_BATCH: Final = 200


class Verdict(StrEnum):
    """What came of a case."""

    REFUSED = "refused"
    HARMLESS = "harmless"
    WRONG = "wrong"


@dataclass(frozen=True)
class Wrong:
    """A case that went wrong, and how to run it again."""

    target: str
    seed: int
    case: int
    detail: str

    def __str__(self) -> str:
        again = f"--target {self.target} --seed {self.seed} --case {self.case}"
        return f"{self.target} {self.case}: {self.detail}\n  again: {again}"


@dataclass
class Tally:
    """Counts of one target's run."""

    counts: dict[Verdict, int] = field(
        default_factory=lambda: dict.fromkeys(Verdict, 0)
    )
    wrongs: list[Wrong] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tried(self) -> int:
        """All cases that were judged."""
        return sum(self.counts.values())


@dataclass
class Case:
    """One attack: its number, its own random numbers, and its verdict."""

    trial: "Trial"
    number: int

    @property
    def random(self) -> random.Random:
        """Random numbers that depend on nothing but target, seed and case."""
        return random.Random(f"{self.trial.name}/{self.trial.seed}/{self.number}")  # noqa: S311

    def refused(self) -> None:
        """The product said no."""
        self.trial.judge(self, Verdict.REFUSED)

    def harmless(self) -> None:
        """It passed, and did nothing that it should not."""
        self.trial.judge(self, Verdict.HARMLESS)

    def wrong(self, detail: str) -> None:
        """It did what it should not."""
        self.trial.judge(self, Verdict.WRONG, detail)

    def unless(self, wrong: str | None, *, refused: bool) -> None:
        """Judge by a reason why it is wrong, None if it is not."""
        if wrong is not None:
            self.wrong(wrong)
        elif refused:
            self.refused()
        else:
            self.harmless()


@dataclass
class Lab:
    """A directory, and one hive for all targets that attack a running one."""

    path: Path
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _hive: Hive | None = None
    _pids: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    """How much of each log was looked at."""

    async def hive(self) -> Hive:
        """Return the running hive; the first call starts it."""
        if self._hive is None:
            room = self.path / "hive"
            room.mkdir()
            timeouts = Timeouts(health_s=60.0, drain_s=5.0)
            model = ScriptedModel(keep=False)
            await model.start()
            self._stack.push_async_callback(model.stop)
            started = running_hive(
                room,
                timeouts=timeouts,
                upstream=model.address,
                beside=PARTS,
                forked=False,  # its hived's command line is searched, too
            )
            self._hive = await self._stack.enter_async_context(started)
            parts = ("hived", "hive-relay", "hive-web")
            self._pids = {name: self._hive.local.pid(name) for name in parts}
        return self._hive

    def room(self, name: str) -> Path:
        """Return a fresh directory that other users can walk through."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.path))
        path.chmod(0o755)
        return path

    async def illness(self) -> list[str]:
        """Say what is wrong with the hive: a part that died or failed inside."""
        if self._hive is None:
            return []
        found = []
        for name, pid in self._pids.items():
            if not Path(f"/proc/{pid}/stat").exists():
                found.append(f"{name} is gone")
            log = self._hive.state / "logs" / f"{name}.log"
            text = log.read_text(errors="replace") if log.exists() else ""
            seen, self._seen[name] = self._seen.get(name, 0), len(text)
            text = text[min(seen, len(text)) :]
            if "Traceback" in text:
                at = text.index("Traceback")
                found.append(f"{name} logged: {text[at:][-_DETAIL_MAX:]}")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._hive.operator.call(api.STATUS, NoParams())
        except Exception as error:
            found.append(f"status is not answered: {error!r}")
        return found

    async def close(self) -> None:
        """Stop the hive."""
        await self._stack.aclose()


@dataclass
class Trial:
    """One run of one target: how many cases, until when, and what came of them."""

    name: str
    seed: int
    count: int
    lab: Lab
    until: float = 0.0
    """Go on until this time (monotonic), beyond ``count``."""
    only: int | None = None
    tally: Tally = field(default_factory=Tally)

    def judge(self, case: Case, verdict: Verdict, detail: str = "") -> None:
        """Count a case."""
        self.tally.counts[verdict] += 1
        if verdict is Verdict.WRONG and len(self.tally.wrongs) < _WRONG_MAX:
            text = detail[:_DETAIL_MAX]
            self.tally.wrongs.append(Wrong(self.name, self.seed, case.number, text))

    def _goes_on(self, number: int) -> bool:
        if self.only is not None:
            return number <= self.only
        return number < self.count or time.monotonic() < self.until

    def _wanted(self, number: int) -> bool:
        return self.only in (None, number)

    def cases(self) -> Iterator[Case]:
        """Yield case after case, as many as are to be tried."""
        number = 0
        while self._goes_on(number):
            if self._wanted(number):
                yield Case(self, number)
            number += 1

    def each(self, items: Iterable[T]) -> Iterator[tuple[Case, T]]:
        """Yield a case for each of a fixed list, whatever the count is."""
        for number, item in enumerate(items):
            if self._wanted(number):
                yield Case(self, number), item

    async def explore(
        self,
        body: Callable[..., Awaitable[None]],
        **drawn: SearchStrategy[Any],
    ) -> None:
        """Await ``body(case, **values)`` with values that hypothesis draws.

        The drawing runs in a thread and ``body`` here. Nothing is shrunk, because a
        case's meaning may lie in what the hive is at that moment.
        """
        loop, number = asyncio.get_running_loop(), 0

        def one(**values: Any) -> None:
            nonlocal number
            here, number = number, number + 1
            if self._wanted(here) and self._goes_on(here):
                work = _wrap(body(Case(self, here), **values))
                asyncio.run_coroutine_threadsafe(work, loop).result()

        first = -1
        while self._goes_on(number) and number != first:
            first = number
            await asyncio.to_thread(_draw, one, drawn, self.seed + first)


async def _wrap(work: Awaitable[None]) -> None:
    await work


def _draw(
    body: Callable[..., None],
    drawn: dict[str, SearchStrategy[Any]],
    start: int,
) -> None:
    chosen = settings(
        max_examples=_BATCH,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )

    def call(**values: Any) -> None:
        body(**values)

    seed(start)(chosen(given(**drawn)(call)))()


@dataclass(frozen=True)
class Target:
    """A boundary, what attacks it, and when a case is wrong."""

    name: str
    attacks: str
    wrong: str
    quick: int
    long: int
    run: Callable[[Trial], Awaitable[None]]
    needs: tuple[str, ...] = ()


async def run(target: Target, trial: Trial) -> Tally:
    """Run one target; a part of the hive that is ill afterwards is a wrong case."""
    began = time.monotonic()
    try:
        await target.run(trial)
    except Exception as error:
        what = "".join(traceback.format_exception(error))
        Case(trial, trial.tally.tried).wrong(f"the target itself failed: {what}")
    for fault in await trial.lab.illness():
        Case(trial, trial.tally.tried).wrong(fault)
    trial.tally.seconds = time.monotonic() - began
    return trial.tally
